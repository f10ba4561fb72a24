// The ops, whatever the device. Every check and allocation comes before the first write.

#ifndef TF1_WD_DECAY_OP_H_
#define TF1_WD_DECAY_OP_H_

#include <vector>

#include "decay.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tf_compat.h"
#include "variable_access.h"

namespace tf1_wd {

// Type R of the rates of variables of type T.
template <typename T>
struct RateType {
  using type = float;
};
template <>
struct RateType<double> {
  using type = double;
};

// Device, which lives as long as the op:
//   ReadRates(ctx, variables, count, &rates): what is known of the rates, checked
//   Run(ctx, dtype, passes, &rates): writes all targets, pass after pass, or queues that
//   Close(): the op is about to go
template <typename Device, typename Variables>
class DecayOp : public tensorflow::OpKernel {
 public:
  explicit DecayOp(tensorflow::OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("N", &count_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("T", &dtype_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("use_locking", &use_locking_));
  }
  ~DecayOp() override { device_.Close(); }

  void Compute(tensorflow::OpKernelContext* ctx) override {
    Variables variables;
    OP_REQUIRES_OK(ctx, variables.Find(ctx, count_));
    Locks locks(variables.Mutexes(ctx, count_, use_locking_));
    variables.Open(ctx, count_, use_locking_);
    OP_REQUIRES_OK(ctx, CheckValues(ctx, variables, count_, dtype_));
    OP_REQUIRES_OK(ctx, CheckRateShapes(ctx, count_));
    typename Device::Rates rates;
    OP_REQUIRES_OK(ctx, device_.ReadRates(ctx, variables, count_, &rates));
    std::vector<Pass> passes;
    OP_REQUIRES_OK(ctx, PlanPasses(ctx, &variables, count_, rates, &passes));
    OP_REQUIRES_OK(ctx, device_.Run(ctx, dtype_, passes, &rates));
    variables.Commit();
  }

 private:
  int count_;
  tensorflow::DataType dtype_;
  bool use_locking_;
  Device device_;
};

// Names without a comma, which breaks REGISTER_KERNEL_BUILDER on 2.x.
template <typename Device>
using ReferenceDecay = DecayOp<Device, ReferenceVariables>;
template <typename Device>
using ResourceDecay = DecayOp<Device, ResourceVariables>;

}  // namespace tf1_wd

// Registers both ops on a device for every dtype T, with DECAY<T> as the Device of DecayOp. Handles
// of resources lie in the host's memory on every device.
#define TF1_WD_REGISTER_DTYPE(DEVICE, DECAY, T)                                \
  REGISTER_KERNEL_BUILDER(Name("Tf1WdDecay")                                   \
                              .Device(DEVICE)                                  \
                              .TypeConstraint<T>("T")                          \
                              .TypeConstraint<tf1_wd::RateType<T>::type>("R"), \
                          tf1_wd::ReferenceDecay<DECAY<T>>);                   \
  REGISTER_KERNEL_BUILDER(Name("Tf1WdResourceDecay")                           \
                              .Device(DEVICE)                                  \
                              .HostMemory("vars")                              \
                              .TypeConstraint<T>("T")                          \
                              .TypeConstraint<tf1_wd::RateType<T>::type>("R"), \
                          tf1_wd::ResourceDecay<DECAY<T>>);
#define TF1_WD_REGISTER(DEVICE, DECAY)                       \
  TF1_WD_REGISTER_DTYPE(DEVICE, DECAY, Eigen::half)          \
  TF1_WD_REGISTER_DTYPE(DEVICE, DECAY, tensorflow::bfloat16) \
  TF1_WD_REGISTER_DTYPE(DEVICE, DECAY, float)                \
  TF1_WD_REGISTER_DTYPE(DEVICE, DECAY, double)

#endif  // TF1_WD_DECAY_OP_H_
