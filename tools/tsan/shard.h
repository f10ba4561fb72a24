// Shard for ThreadSanitizer, which sees no synchronization of TensorFlow's: that the work begins
// after what its caller has written, and that the caller goes on after the work.

#ifndef TF1_WD_TSAN_SHARD_H_
#define TF1_WD_TSAN_SHARD_H_

#include <cstdint>

extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);

namespace tf1_wd {

using Work = void (*)(const void* run, int64_t begin, int64_t end);

// Not compiled for ThreadSanitizer: what std::function copies and calls is none of the op's.
void ShardUnseen(int max_parallelism, void* workers, int64_t total, int64_t cost, Work work,
                 const void* run);

template <typename Run>
void Shard(int max_parallelism, void* workers, int64_t total, int64_t cost, const Run& run) {
  const Work work = [](const void* self, int64_t begin, int64_t end) {
    (*static_cast<const Run*>(self))(begin, end);
  };
  ShardUnseen(max_parallelism, workers, total, cost, work, &run);
}

}  // namespace tf1_wd

#endif  // TF1_WD_TSAN_SHARD_H_
