"""What is known of the update ops of optimizers."""

from __future__ import annotations

from tf1_wd._tf import tf


def step_ignores_weights(optimizer_class):
    """True if the step of this class of optimizers is known to depend on gradients and slots alone, not on weights."""
    return optimizer_class in (
        tf.train.GradientDescentOptimizer,
        tf.train.MomentumOptimizer,
        tf.train.AdamOptimizer,
        tf.train.RMSPropOptimizer,
        tf.train.AdagradOptimizer,
        tf.train.AdadeltaOptimizer,
    )


# kernels whose step is made of gradients and slots alone
STEP_IGNORES_WEIGHTS = tuple(
    prefix + "Apply" + name
    for prefix in ("", "Resource", "Sparse", "ResourceSparse")
    for name in (
        "GradientDescent",
        "Momentum",
        "KerasMomentum",
        "Adam",
        "RMSProp",
        "CenteredRMSProp",
        "Adagrad",
        "AdagradV2",
        "Adadelta",
    )
)


def kind_of(op):
    """What the optimizer of an update op is called: ResourceSparseApplyAdam -> Adam; of an assignment, its type."""
    return op.type.split("Apply")[-1] if "Apply" in op.type else op.type
