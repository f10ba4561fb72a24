// Every difference between TensorFlow 1.15 and 2.21 that the ops meet.

#ifndef TF1_WD_TF_COMPAT_H_
#define TF1_WD_TF_COMPAT_H_

#include <type_traits>
#include <utility>

#include "tensorflow/core/common_runtime/dma_helper.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/platform/stream_executor.h"

namespace tf1_wd {

// tensorflow::Status, which became absl::Status. Its OK value is what it starts with: Status::OK()
// went away.
using Status = std::decay<decltype(std::declval<tensorflow::OpKernelContext>().status())>::type;
inline Status Ok() { return Status(); }

// True if nothing but `tensor` holds its buffer. Tensor::RefCountIsOne() is private in 1.15.
inline bool IsSoleOwner(const tensorflow::Tensor& tensor) {
  auto* buffer = const_cast<tensorflow::TensorBuffer*>(tensorflow::DMAHelper::buffer(&tensor));
  return buffer != nullptr && buffer->RefCountIsOne() && buffer->root_buffer()->RefCountIsOne() &&
         buffer->OwnsMemory();
}

// The CUstream of a StreamExecutor's stream. 1.15 to 2.15 have the first form, 2.21 the second.
template <typename Stream>
auto RawStream(Stream* stream, int) -> decltype(stream->implementation()->GpuStreamHack()) {
  return stream->implementation()->GpuStreamHack();
}
template <typename Stream>
auto RawStream(Stream* stream, long) -> decltype(stream->platform_specific_handle().stream) {
  return stream->platform_specific_handle().stream;
}

// The queue of the GPU that the op runs on, as the CUDA driver knows it.
inline void* ComputeStream(tensorflow::OpKernelContext* ctx) {
  return RawStream(ctx->op_device_context()->stream(), 0);
}

}  // namespace tf1_wd

#endif  // TF1_WD_TF_COMPAT_H_
