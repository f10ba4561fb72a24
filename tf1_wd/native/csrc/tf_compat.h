// Every difference between TensorFlow 1.15 and 2.22 that the ops meet.

#ifndef TF1_WD_TF_COMPAT_H_
#define TF1_WD_TF_COMPAT_H_

#include <type_traits>
#include <utility>

#include "tensorflow/core/common_runtime/dma_helper.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/tensor.h"

namespace tf1_wd {

// tensorflow::Status, which became absl::Status. Its OK value is what it starts with: Status::OK()
// went away.
using Status = std::decay<decltype(std::declval<tensorflow::OpKernelContext>().status())>::type;
inline Status Ok() { return Status(); }

// errors::IsNotFound() went away in 2.22. The number of the code is the same everywhere.
inline bool IsMissing(const Status& status) { return static_cast<int>(status.code()) == 5; }

// True if nothing but `tensor` holds its buffer. Tensor::RefCountIsOne() is private in 1.15.
inline bool IsSoleOwner(const tensorflow::Tensor& tensor) {
  auto* buffer = const_cast<tensorflow::TensorBuffer*>(tensorflow::DMAHelper::buffer(&tensor));
  return buffer != nullptr && buffer->RefCountIsOne() && buffer->root_buffer()->RefCountIsOne() &&
         buffer->OwnsMemory();
}

// The first members of Eigen::StreamInterface and Eigen::GpuDevice, which are the same from 1.15 to
// 2.21. Their header asks for CUDA's, and that of TensorFlow's stream, on 2.19, for one of LLVM's
// that its package lacks.
struct EigenStream {
  virtual ~EigenStream() {}
  virtual void* const& stream() const = 0;
};
struct EigenGpuDevice {
  const EigenStream* stream;
};

// The queue of the GPU that the op runs on, as the CUDA driver knows it.
inline void* ComputeStream(tensorflow::OpKernelContext* ctx) {
  return reinterpret_cast<const EigenGpuDevice&>(ctx->eigen_gpu_device()).stream->stream();
}

}  // namespace tf1_wd

#endif  // TF1_WD_TF_COMPAT_H_
