// The ops on NVIDIA GPUs: the same as on the CPU, but that the rates stay on the GPU and nothing
// waits for it. Kernels: decay_kernel.cu.

#include <mutex>
#include <string>

#include "decay.h"
#include "decay_launch.h"
#include "decay_op.h"
#include "gpu_driver.h"
#include "half_types.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/platform/logging.h"
#include "tf_compat.h"
#include "variable_access.h"

namespace tf1_wd {
namespace {

GpuType GpuTypeOf(tensorflow::DataType dtype) {
  switch (dtype) {
    case tensorflow::DT_HALF:
      return GpuType::kHalf;
    case tensorflow::DT_BFLOAT16:
      return GpuType::kBfloat16;
    case tensorflow::DT_FLOAT:
      return GpuType::kFloat;
    default:  // the op takes no other
      return GpuType::kDouble;
  }
}

// A word of the host's memory in which the kernels leave a rate that they refused. Whoever enqueues
// the next run finds it there; the run itself has returned before the GPU reads its rates.
class RefusedRate {
 public:
  // Where the kernels write it.
  Status Address(tensorflow::OpKernelContext* ctx, unsigned long long** address) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!IsAllocated()) {
      tensorflow::AllocatorAttributes pinned;
      pinned.set_on_host(true);
      pinned.set_gpu_compatible(true);
      TF_RETURN_IF_ERROR(ctx->allocate_temp(tensorflow::DT_UINT64, {}, &word_, pinned));
      *Word() = 0;
    }
    *address = Word();
    return Ok();
  }

  // True, once, if a rate was refused since the last call.
  bool Take(int* variable, float* rate) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!IsAllocated()) return false;
    const unsigned long long word = __atomic_exchange_n(Word(), 0, __ATOMIC_RELAXED);
    if (word == 0) return false;
    *variable = static_cast<int>(word >> 32) - 1;
    *rate = FloatFromBits(static_cast<int32_t>(word));
    return true;
  }

 private:
  // A new Tensor is an empty one, which TensorFlow calls initialized.
  bool IsAllocated() const { return word_.NumElements() > 0; }
  unsigned long long* Word() { return static_cast<unsigned long long*>(Data(word_)); }

  std::mutex mutex_;
  tensorflow::Tensor word_;
};

struct GpuRates {
  RateList list;
  bool KnownZero(int) const { return false; }
};

class GpuDecay {
 public:
  using Rates = GpuRates;

  template <typename Variables>
  Status ReadRates(tensorflow::OpKernelContext* ctx, const Variables& variables, int count,
                   GpuRates* rates) {
    int variable = 0;
    float rate = 0;
    if (refused_.Take(&variable, &rate)) {
      return tensorflow::errors::InvalidArgument(
          "tf1_wd: variable ", variables.Name(ctx, variable), ": rate * scale = ", rate,
          " is not in [0, 1) in the run before this one; no variable was decayed, then and now "
          "(on a GPU it is known only afterwards)");
    }
    const tensorflow::Tensor& values = ctx->input(count);
    rates->list.rates = Data(values);
    rates->list.scale = Data(ctx->input(count + 1));
    rates->list.count = values.NumElements();
    return refused_.Address(ctx, &rates->list.refused);
  }

  Status Run(tensorflow::OpKernelContext* ctx, tensorflow::DataType dtype, const Pass& pass,
             const GpuRates& rates) {
    const std::string error = LaunchPass(ComputeStream(ctx), GpuTypeOf(dtype), pass, rates.list);
    if (error.empty()) return Ok();
    return tensorflow::errors::Internal("tf1_wd: weight decay on the GPU: ", error);
  }

  void Close(const std::string& name) {
    int variable = 0;
    float rate = 0;
    if (refused_.Take(&variable, &rate)) {
      LOG(ERROR) << "tf1_wd: " << name << ": rate * scale of variable " << variable << " = " << rate
                 << " is not in [0, 1) in the last run, which decayed no variable";
    }
  }

 private:
  RefusedRate refused_;
};

#define TF1_WD_REGISTER(T)                                             \
  REGISTER_KERNEL_BUILDER(Name("Tf1WdDecay")                           \
                              .Device(tensorflow::DEVICE_GPU)          \
                              .TypeConstraint<T>("T")                  \
                              .TypeConstraint<RateType<T>::type>("R"), \
                          ReferenceDecay<GpuDecay>);                   \
  REGISTER_KERNEL_BUILDER(Name("Tf1WdResourceDecay")                   \
                              .Device(tensorflow::DEVICE_GPU)          \
                              .HostMemory("vars")                      \
                              .TypeConstraint<T>("T")                  \
                              .TypeConstraint<RateType<T>::type>("R"), \
                          ResourceDecay<GpuDecay>);
TF1_WD_REGISTER(Eigen::half)
TF1_WD_REGISTER(tensorflow::bfloat16)
TF1_WD_REGISTER(float)
TF1_WD_REGISTER(double)
#undef TF1_WD_REGISTER

}  // namespace

// For `tf1-wd doctor`, which calls it by name.
extern "C" __attribute__((visibility("default"))) const char* tf1_wd_describe_gpus() {
  static const auto* text = new std::string(DescribeGpus());
  return text->c_str();
}

// Why no GPU can run the kernels, or an empty string.
extern "C" __attribute__((visibility("default"))) const char* tf1_wd_gpu_problem() {
  return GetDriver().problem.c_str();
}

}  // namespace tf1_wd
