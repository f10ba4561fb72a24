// The two ops and their shape functions. Kernels: decay_cpu.cc and decay_gpu.cc.

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tf_compat.h"

namespace tf1_wd {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// rates: [] or [N]; scale: [].
Status CheckShapes(InferenceContext* c) {
  const int num_variables = c->num_inputs() - 2;
  ShapeHandle rates = c->input(num_variables);
  TF_RETURN_IF_ERROR(c->WithRankAtMost(rates, 1, &rates));
  if (c->RankKnown(rates) && c->Rank(rates) == 1) {
    DimensionHandle length;
    TF_RETURN_IF_ERROR(c->WithValue(c->Dim(rates, 0), num_variables, &length));
  }
  ShapeHandle scale;
  return c->WithRank(c->input(num_variables + 1), 0, &scale);
}

}  // namespace

REGISTER_OP("Tf1WdDecay")
    .Input("vars: Ref(N * T)")
    .Input("rates: R")
    .Input("scale: R")
    .Attr("N: int >= 1")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("R: {float, double}")
    .Attr("use_locking: bool = true")
    .SetIsStateful()
    .SetAllowsUninitializedInput()  // the kernel names the variable that is not initialized
    .SetShapeFn(CheckShapes)
    .Doc(R"doc(
Decays reference variables in place: w <- w - (rate_i * scale) * w.

rates: one rate for all variables, or one for each.
scale: multiplies every rate.
R: double for double variables, float otherwise.
use_locking: hold the variables' locks meanwhile.
)doc");

REGISTER_OP("Tf1WdResourceDecay")
    .Input("vars: N * resource")
    .Input("rates: R")
    .Input("scale: R")
    .Attr("N: int >= 1")
    .Attr("T: {half, bfloat16, float, double}")
    .Attr("R: {float, double}")
    .Attr("use_locking: bool = true")
    .SetIsStateful()
    .SetShapeFn(CheckShapes)
    .Doc(R"doc(
Decays resource variables in place: w <- w - (rate_i * scale) * w.

rates: one rate for all variables, or one for each.
scale: multiplies every rate.
T: dtype of the variables.
R: double for double variables, float otherwise.
use_locking: without effect, as a resource variable is always locked: its buffer may have to be replaced.
)doc");

}  // namespace tf1_wd
