// The launcher of the decay op as it ships, without TensorFlow: C functions for ctypes. launcher.py
// builds it.

#include "decay_launch.cc"
#include "gpu_driver.cc"

#define TF1_WD_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// As C, until the next call in this thread.
const char* Keep(const std::string& text) {
  static thread_local std::string kept;
  kept = text;
  return kept.c_str();
}

}  // namespace

// Decays `count` tensors, `at_once` of them a pass: 1 makes one kernel a tensor. `type` is a
// GpuType. Returns what failed, or an empty text.
TF1_WD_EXPORT const char* tf1_wd_launch(void* stream, int type, int count, void* const* targets,
                                        const void* const* sources, const int64_t* sizes,
                                        const int* variables, int at_once, const void* rates,
                                        const void* scale, unsigned long long rate_count,
                                        unsigned long long* refused) {
  tf1_wd::RateList list;
  list.rates = rates;
  list.scale = scale;
  list.count = rate_count;
  list.refused = refused;
  tf1_wd::Pass pass;
  for (int i = 0; i < count; ++i) {
    pass.push_back({targets[i], sources[i], sizes[i], variables[i]});
    if (static_cast<int>(pass.size()) < at_once && i + 1 < count) continue;
    const auto kind = static_cast<tf1_wd::GpuType>(type);
    const std::string error = tf1_wd::LaunchPass(stream, kind, pass, list);
    if (!error.empty()) return Keep(error);
    pass.clear();
  }
  return Keep("");
}

TF1_WD_EXPORT const char* tf1_wd_describe() { return Keep(tf1_wd::DescribeGpus()); }

// What tests and benchmarks need to know of the kernels.
TF1_WD_EXPORT unsigned tf1_wd_chunk_bytes() { return tf1_wd::kChunkBytes; }
TF1_WD_EXPORT unsigned tf1_wd_tensors_per_launch() { return tf1_wd::kTensorsPerLaunch; }
