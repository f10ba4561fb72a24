// The ops on NVIDIA GPUs: the same as on the CPU, but that the rates stay on the GPU and nothing
// waits for it. Kernels: decay_kernel.cu.

#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "decay.h"
#include "decay_launch.h"
#include "decay_op.h"
#include "gpu_driver.h"
#include "half_types.h"
#include "tensorflow/core/framework/op_kernel.h"
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

// Which run of the program has reported the refusals of which run before it. Each op finds its own
// refusal in its next run; without this, one bad run would stop as many later ones as it had ops.
class Reports {
 public:
  // True if the run `step` is to fail for a rate that the run `refused` has refused.
  bool IsDue(int64_t refused, int64_t step) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (refused <= 0) return true;  // eager mode does not number its runs
    const auto reported = reported_by_.emplace(refused, step);
    if (reported_by_.size() > kRemembered) reported_by_.erase(reported_by_.begin());
    return reported.first->second == step;
  }

 private:
  static constexpr size_t kRemembered = 1000;
  std::mutex mutex_;
  std::map<int64_t, int64_t> reported_by_;
};

Reports& AllReports() {
  static auto* reports = new Reports();
  return *reports;
}

// A word of the host's memory in which the kernels leave a rate that they refused. Whoever enqueues
// the next run finds it there; the run itself has returned before the GPU reads its rates.
class RefusedRate {
 public:
  // Where the kernels of the run `step` write it.
  Status Address(tensorflow::OpKernelContext* ctx, unsigned long long** address) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (word_ == nullptr) {
      tensorflow::AllocatorAttributes pinned;
      pinned.set_on_host(true);
      pinned.set_gpu_compatible(true);
      // Never freed, as a kernel may still be queued when the op goes.
      auto* owner = new tensorflow::Tensor();
      TF_RETURN_IF_ERROR(ctx->allocate_temp(tensorflow::DT_UINT64, {}, owner, pinned));
      word_ = static_cast<unsigned long long*>(Data(*owner));
      *word_ = 0;
    }
    step_ = ctx->step_id();
    *address = word_;
    return Ok();
  }

  // True, once, if a rate was refused since the last call. step: of the run that did.
  bool Take(int* variable, float* rate, int64_t* step) {
    std::lock_guard<std::mutex> lock(mutex_);
    const unsigned long long word =
        word_ == nullptr ? 0 : __atomic_exchange_n(word_, 0, __ATOMIC_RELAXED);
    if (word == 0) return false;
    *variable = static_cast<int>(word >> 32) - 1;
    *rate = FloatFromBits(static_cast<int32_t>(word));
    *step = step_;
    return true;
  }

 private:
  std::mutex mutex_;
  unsigned long long* word_ = nullptr;
  int64_t step_ = 0;
};

struct GpuRates {
  RateList list;
  size_t rate_bytes;   // of all rates
  size_t scale_bytes;  // of the scale
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
    int64_t step = 0;
    if (refused_.Take(&variable, &rate, &step) && AllReports().IsDue(step, ctx->step_id())) {
      return tensorflow::errors::InvalidArgument(
          "tf1_wd: variable ", variables.Name(ctx, variable), ": rate * scale = ", rate,
          " is not in [0, 1) in the run before this one; no variable of the op was decayed, then "
          "and now (on a GPU it is known only afterwards)");
    }
    const tensorflow::Tensor& values = ctx->input(count);
    const tensorflow::Tensor& scale = ctx->input(count + 1);
    rates->list.rates = Data(values);
    rates->list.scale = Data(scale);
    rates->list.count = values.NumElements();
    rates->rate_bytes = values.TotalBytes();
    rates->scale_bytes = scale.TotalBytes();
    return refused_.Address(ctx, &rates->list.refused);
  }

  Status Run(tensorflow::OpKernelContext* ctx, tensorflow::DataType dtype,
             const std::vector<Pass>& passes, GpuRates* rates) {
    void* stream = ComputeStream(ctx);
    const size_t width = tensorflow::DataTypeSize(dtype);
    TF_RETURN_IF_ERROR(
        KeepApart(ctx, stream, passes, width, rates->rate_bytes, &rates->list.rates));
    TF_RETURN_IF_ERROR(
        KeepApart(ctx, stream, passes, width, rates->scale_bytes, &rates->list.scale));
    for (const Pass& pass : passes) {
      TF_RETURN_IF_ERROR(AsStatus(LaunchPass(stream, GpuTypeOf(dtype), pass, rates->list)));
    }
    return Ok();
  }

  void Close() {
    int variable = 0;
    float rate = 0;
    int64_t step = 0;
    if (refused_.Take(&variable, &rate, &step) && AllReports().IsDue(step, kAtTheEnd)) {
      // Not LOG(ERROR): from 2.18 on it is absl's, whose symbols not every TensorFlow exports.
      std::fprintf(stderr,
                   "tf1_wd: rate * scale of the variable number %d of a decay op = %g is not in "
                   "[0, 1) in its last run, which decayed no variable of the op\n",
                   variable, rate);
    }
  }

 private:
  static constexpr int64_t kAtTheEnd = -1;

  static Status AsStatus(const std::string& error) {
    if (error.empty()) return Ok();
    return tensorflow::errors::Internal("tf1_wd: weight decay on the GPU: ", error);
  }

  // Copies `*numbers` where a pass writes over them: the value of a reference variable that decays
  // itself. Blocks read them while others write.
  static Status KeepApart(tensorflow::OpKernelContext* ctx, void* stream,
                          const std::vector<Pass>& passes, size_t width, size_t bytes,
                          const void** numbers) {
    const char* begin = static_cast<const char*>(*numbers);
    for (const Pass& pass : passes) {
      for (const Span& span : pass) {
        const char* target = static_cast<const char*>(span.target);
        if (begin + bytes <= target || target + span.size * width <= begin) continue;
        tensorflow::Tensor copy;
        TF_RETURN_IF_ERROR(
            ctx->allocate_temp(tensorflow::DT_UINT8, {static_cast<int64_t>(bytes)}, &copy));
        *numbers = Data(copy);  // freed in the order of the stream, as TensorFlow frees all
        return AsStatus(CopyOnGpu(stream, begin, Data(copy), bytes));
      }
    }
    return Ok();
  }

  RefusedRate refused_;
};

template <typename T>
using AnyGpuDecay = GpuDecay;  // one class for all dtypes
TF1_WD_REGISTER(tensorflow::DEVICE_GPU, AnyGpuDecay)

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
