// What the host passes to the GPU kernels of decay_kernel.cu. NVRTC reads it too, which has no
// standard headers.

#ifndef TF1_WD_DECAY_KERNEL_H_
#define TF1_WD_DECAY_KERNEL_H_

namespace tf1_wd {

// Enumerators, which leave no data in the PTX.
enum : unsigned {
  kThreads = 256,           // of a block
  kChunkBytes = 64 * 1024,  // of one tensor, for one block
  kTensorsPerLaunch = 120,  // as many as fit
  kParameterBytes = 4096,   // of a launch, at most, before CUDA 12.1
};

// Tensors of one launch, by value. Tensor i belongs to the blocks first_block[i] up to
// first_block[i + 1]; none is empty.
struct TensorList {
  unsigned long long target[kTensorsPerLaunch];  // addresses on the GPU
  unsigned long long source[kTensorsPerLaunch];  // == target in place
  unsigned long long size[kTensorsPerLaunch];    // elements
  unsigned first_block[kTensorsPerLaunch + 1];
  unsigned variable[kTensorsPerLaunch];  // its position in the op
  unsigned count;
};

// Where the kernels read the rates, all in the GPU's memory but the last.
struct RateList {
  const void* rates;  // of the op's type R
  const void* scale;
  unsigned long long count;  // 1, a rate for all variables, or the number of the op's variables
  // In the host's memory, pinned. A rate * scale out of [0, 1) is left here: the position of its
  // variable + 1 in the upper half, its bits as a float in the lower.
  unsigned long long* refused;
};

static_assert(sizeof(TensorList) + sizeof(RateList) <= kParameterBytes, "too much for a launch");

}  // namespace tf1_wd

#endif  // TF1_WD_DECAY_KERNEL_H_
