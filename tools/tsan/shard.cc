#include "shard.h"

#include "tensorflow/core/util/work_sharder.h"

namespace tf1_wd {

void ShardUnseen(int max_parallelism, void* workers, int64_t total, int64_t cost, Work work,
                 const void* run) {
  char begun = 0;  // an address for each way: one shard is not ordered after another
  char done = 0;
  __tsan_release(&begun);
  tensorflow::Shard(max_parallelism, static_cast<tensorflow::thread::ThreadPool*>(workers), total,
                    cost, [&begun, &done, work, run](int64_t begin, int64_t end) {
                      __tsan_acquire(&begun);
                      work(run, begin, end);
                      __tsan_release(&done);
                    });
  __tsan_acquire(&done);
}

}  // namespace tf1_wd
