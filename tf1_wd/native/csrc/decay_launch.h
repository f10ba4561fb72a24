// Starts the kernels of decay_kernel.cu. No TensorFlow: what it needs of it are plain values.

#ifndef TF1_WD_DECAY_LAUNCH_H_
#define TF1_WD_DECAY_LAUNCH_H_

#include <cstddef>
#include <string>

#include "decay.h"
#include "decay_kernel.h"

namespace tf1_wd {

enum class GpuType { kHalf, kBfloat16, kFloat, kDouble };

// Puts one pass on `stream` (a CUstream), in as many launches as its tensors need, and returns
// without waiting. The context of the stream must be current in this thread.
// Returns what failed, or an empty string.
std::string LaunchPass(void* stream, GpuType type, const Pass& pass, const RateList& rates);

// Puts a copy within the GPU's memory on `stream`. Returns what failed, or an empty string.
std::string CopyOnGpu(void* stream, const void* source, void* target, size_t bytes);

}  // namespace tf1_wd

#endif  // TF1_WD_DECAY_LAUNCH_H_
