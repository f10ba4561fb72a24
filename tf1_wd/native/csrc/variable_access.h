// How the ops get at their variables: locks, checks, copy on write. The same for every device.

#ifndef TF1_WD_VARIABLE_ACCESS_H_
#define TF1_WD_VARIABLE_ACCESS_H_

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "decay.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"
#include "tf_compat.h"

namespace tf1_wd {

inline void* Data(const tensorflow::Tensor& tensor) {
  return const_cast<char*>(tensor.tensor_data().data());
}

// Locks in address order, as TensorFlow's own optimizers do, so that two ops cannot wait for each
// other.
class Locks {
 public:
  explicit Locks(std::vector<tensorflow::mutex*> mutexes) : mutexes_(std::move(mutexes)) {
    std::sort(mutexes_.begin(), mutexes_.end());
    mutexes_.erase(std::unique(mutexes_.begin(), mutexes_.end()), mutexes_.end());
    for (auto* mutex : mutexes_) mutex->lock();
  }
  ~Locks() {
    for (auto* mutex : mutexes_) mutex->unlock();
  }
  Locks(const Locks&) = delete;
  Locks& operator=(const Locks&) = delete;

 private:
  std::vector<tensorflow::mutex*> mutexes_;
};

// The reference variables among the first inputs of an op.
class ReferenceVariables {
 public:
  Status Find(tensorflow::OpKernelContext*, int) { return Ok(); }

  std::vector<tensorflow::mutex*> Mutexes(tensorflow::OpKernelContext* ctx, int count,
                                          bool use_locking) const {
    std::vector<tensorflow::mutex*> mutexes;
    mutexes.reserve(count);
    for (int i = 0; use_locking && i < count; ++i) mutexes.push_back(ctx->input_ref_mutex(i));
    return mutexes;
  }

  void Open(tensorflow::OpKernelContext* ctx, int count, bool use_locking) {
    tensors_.reserve(count);
    for (int i = 0; i < count; ++i) tensors_.push_back(ctx->mutable_input(i, use_locking));
  }

  std::string Name(tensorflow::OpKernelContext* ctx, int i) const {
    return ctx->op_kernel().requested_input(i);
  }
  const tensorflow::Tensor& Value(int i) const { return tensors_[i]; }
  const void* Identity(int i) const { return Data(tensors_[i]); }

  // Readers of a reference alias its buffer by definition, so the update is always in place.
  Status PrepareTarget(tensorflow::OpKernelContext*, int i, void** target) {
    *target = Data(tensors_[i]);
    return Ok();
  }
  void Commit() {}

 private:
  std::vector<tensorflow::Tensor> tensors_;
};

// The resource variables among the first inputs of an op.
class ResourceVariables {
 public:
  Status Find(tensorflow::OpKernelContext* ctx, int count) {
    variables_.resize(count);
    for (int i = 0; i < count; ++i) {
      const auto& handle = tensorflow::HandleFromInput(ctx, i);
      Status found = tensorflow::LookupResource(ctx, handle, &variables_[i]);
      if (IsMissing(found)) {
        return tensorflow::errors::FailedPrecondition(
            "tf1_wd: variable ", handle.name(),
            " is not initialized: run its initializer first; no variable was decayed");
      }
      if (!found.ok()) return found;
    }
    return Ok();
  }

  // Always locked: a reader that takes the buffer between the check of its owners and the write
  // would see half of it.
  std::vector<tensorflow::mutex*> Mutexes(tensorflow::OpKernelContext*, int, bool) const {
    std::vector<tensorflow::mutex*> mutexes;
    mutexes.reserve(variables_.size());
    for (const auto& variable : variables_) mutexes.push_back(variable->mu());
    return mutexes;
  }

  void Open(tensorflow::OpKernelContext*, int, bool) {}

  std::string Name(tensorflow::OpKernelContext* ctx, int i) const {
    return tensorflow::HandleFromInput(ctx, i).name();
  }
  const tensorflow::Tensor& Value(int i) const { return *variables_[i]->tensor(); }
  const void* Identity(int i) const { return variables_[i].get(); }

  // In place when nobody else holds the buffer; otherwise a new buffer, filled by the decay itself.
  // That is enough in copy-on-read mode too: there readers copy, and sparse updates write, under
  // the variable's lock, which is held here exclusively.
  Status PrepareTarget(tensorflow::OpKernelContext* ctx, int i, void** target) {
    const tensorflow::Tensor& value = Value(i);
    if (IsSoleOwner(value)) {
      *target = Data(value);
      return Ok();
    }
    tensorflow::AllocatorAttributes attributes;
    attributes.set_gpu_compatible(true);
    attributes.set_nic_compatible(true);
    tensorflow::Tensor fresh;
    TF_RETURN_IF_ERROR(ctx->allocate_temp(value.dtype(), value.shape(), &fresh, attributes));
    *target = Data(fresh);
    replacements_.emplace_back(i, fresh);
    return Ok();
  }
  void Commit() {
    for (const auto& replacement : replacements_) {
      *variables_[replacement.first]->tensor() = replacement.second;
    }
  }

 private:
  std::vector<tensorflow::core::RefCountPtr<tensorflow::Var>> variables_;
  std::vector<std::pair<int, tensorflow::Tensor>> replacements_;
};

template <typename Variables>
Status CheckValues(tensorflow::OpKernelContext* ctx, const Variables& variables, int count,
                   tensorflow::DataType dtype) {
  for (int i = 0; i < count; ++i) {
    const tensorflow::Tensor& value = variables.Value(i);
    if (!value.IsInitialized()) {
      return tensorflow::errors::FailedPrecondition(
          "tf1_wd: variable ", variables.Name(ctx, i),
          " is not initialized: run its initializer first; no variable was decayed");
    }
    if (value.dtype() != dtype) {
      return tensorflow::errors::InvalidArgument(
          "tf1_wd: variable ", variables.Name(ctx, i), " is ",
          tensorflow::DataTypeString(value.dtype()), ", the op was built for ",
          tensorflow::DataTypeString(dtype), "; no variable was decayed");
    }
  }
  return Ok();
}

// rates: [] or [count]; scale: []. Known on the host wherever their values are.
inline Status CheckRateShapes(tensorflow::OpKernelContext* ctx, int count) {
  const tensorflow::Tensor& rates = ctx->input(count);
  const tensorflow::Tensor& scale = ctx->input(count + 1);
  if (rates.dims() != 0 && (rates.dims() != 1 || rates.dim_size(0) != count)) {
    return tensorflow::errors::InvalidArgument("tf1_wd: rates must have shape [] or [", count,
                                               "], one for each variable, not ",
                                               rates.shape().DebugString());
  }
  if (scale.dims() != 0) {
    return tensorflow::errors::InvalidArgument("tf1_wd: scale must be a scalar, not of shape ",
                                               scale.shape().DebugString());
  }
  return Ok();
}

// The spans of all variables, every new buffer allocated. A variable listed again decays again:
// its second span goes to a second pass, after all of the first, and so on.
// Rates: has KnownZero(i), true if variable i is known to keep its value.
template <typename Variables, typename Rates>
Status PlanPasses(tensorflow::OpKernelContext* ctx, Variables* variables, int count,
                  const Rates& rates, std::vector<Pass>* passes) {
  struct Listed {
    size_t times = 0;
    void* target = nullptr;
  };
  std::unordered_map<const void*, Listed> listed;
  listed.reserve(count);
  for (int i = 0; i < count; ++i) {
    const int64_t size = variables->Value(i).NumElements();
    if (rates.KnownZero(i) || size == 0) continue;
    Listed& variable = listed[variables->Identity(i)];
    const void* source = variable.target;
    if (variable.times == 0) {
      source = Data(variables->Value(i));
      TF_RETURN_IF_ERROR(variables->PrepareTarget(ctx, i, &variable.target));
    }
    if (variable.times == passes->size()) {
      passes->emplace_back();
      if (passes->size() == 1) passes->back().reserve(count);
    }
    (*passes)[variable.times++].push_back({variable.target, source, size, i});
  }
  return Ok();
}

}  // namespace tf1_wd

#endif  // TF1_WD_VARIABLE_ACCESS_H_
