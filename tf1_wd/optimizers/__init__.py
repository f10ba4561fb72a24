"""The optimizers of tf.contrib.opt with decoupled weight decay, on every TensorFlow, in graph mode:

    w <- w - step - r w        with w the weights that the step began from, and r the weight decay

Names, arguments, variables and checkpoints are those of tf.contrib.opt in TensorFlow 1.15, and so is what decays of a
table with a sparse gradient (tf.IndexedSlices): the rows in the gradient, each once, and no other. Different is:

- `minimize(decay_var_list=)` counts, and `decay_var_list=[]` decays nothing; partitioned variables may be named.
- The weight decay may be a function: of nothing, or of the global step.
- All gradients are computed before anything decays, and everything decays before anything is updated. Bases whose step
  reads the weights (FTRL) get the formula above too; contrib lets them step from decayed weights.
- The variables of a device decay in one op, with no copies of them; tf1_wd's own where it can be had.
- Tables decay under gradient descent too, which contrib forgets. A variable that is listed twice decays once.
- A decay outside of [0, 1), an optimizer that cannot be followed, eager mode and strategies other than MirroredStrategy
  and OneDeviceStrategy are errors.
"""

from __future__ import annotations

from tf1_wd.optimizers.adamw import (
    AdamWOptimizer,
    MomentumWOptimizer,
    checkpoint_map,
    extend_with_decoupled_weight_decay,
)
from tf1_wd.optimizers.extension import DecoupledWeightDecayExtension

__all__ = [
    "AdamWOptimizer",
    "DecoupledWeightDecayExtension",
    "MomentumWOptimizer",
    "checkpoint_map",
    "extend_with_decoupled_weight_decay",
]
