"""Cases on the fake GPU: decoupled_weight_decay from end to end, its variables pinned to the GPU.

TensorFlow's own GPU kernels do not run there. So the forward pass, the gradients and the step are computed on the CPU,
and the optimizer only assigns the weights on the GPU: SGD, in a form of its own. Order "before" decays by our op
only under optimizers of TensorFlow's own, which cannot run there.
"""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf
from gpu_cases import CPU, Calls, both_kinds, initialize, session, variable

import tf1_wd

LR, RATES = 0.125, {"a": 0.25, "b": 0.0625, "c": 0.5}
TARGETS = np.array([1.0, -2.0, 3.0])


class AssigningSGD(tf.train.Optimizer):
    """w <- w - LR * gradient, computed on the CPU, assigned where w is."""

    def __init__(self):
        super().__init__(use_locking=False, name="AssigningSGD")

    def _apply_dense(self, grad, var):
        # an optimizer's ops are placed beside their variable unless told otherwise
        with tf.colocate_with(None, ignore_existing=True), tf.device(CPU):
            updated = tf.identity(var) - LR * grad
        return var.assign(updated).op

    def _resource_apply_dense(self, grad, handle):
        return self._apply_dense(grad, handle)


def train_op(variables, **options):
    """Quadratic losses with L2, on the CPU; only the rates of the plan come from the penalties."""
    with tf.device(CPU):
        values = [tf.identity(v) for v in variables]
        errors = sum(tf.reduce_sum(tf.square(value - TARGETS)) for value in values)
        penalty = sum(RATES[v.op.name] * tf.nn.l2_loss(value) for v, value in zip(variables, values))
        with tf1_wd.decoupled_weight_decay(backend="native", **options):
            return AssigningSGD().minimize(errors + penalty)


def numpy_weights(rate, scales):
    """Float64: w <- (1 - rate * scale) (w - step)."""
    w = np.full(3, 4.0)
    for scale in scales:
        w = (1 - rate * scale) * (w - LR * 2 * (w - TARGETS))
    return w


def devices_of_decays(graph):
    return sorted(op.device for op in graph.get_operations() if op.type in ("Tf1WdDecay", "Tf1WdResourceDecay"))


@both_kinds
def test_weights_on_the_gpu_follow_the_rule(kind):
    with session() as opened:
        variables = [variable(name, np.full(3, 4.0), kind) for name in RATES]
        with tf.device(CPU):
            scale = tf.placeholder(tf.float32, [])
        step = train_op(variables, scale=scale)
        assert devices_of_decays(opened.graph) == ["/device:GPU:0"]
        initialize(opened)
        calls, scales = Calls(), [1.0, 0.5, 0.0, 0.25]
        for fed in scales:
            opened.run(step, {scale: fed})
        assert len(calls.launches()) == len(scales)
        for v, got in zip(variables, opened.run(variables)):
            np.testing.assert_allclose(got, numpy_weights(RATES[v.op.name], scales), rtol=2e-6)


@both_kinds
def test_weights_of_several_devices_decay_in_one_op_a_device(kind):
    devices = ["/cpu:0", "/gpu:0", "/gpu:1"]
    with session() as opened:
        variables = [variable(name, np.full(3, 4.0), kind, device=device) for name, device in zip(RATES, devices)]
        step = train_op(variables)
        assert devices_of_decays(opened.graph) == ["/device:CPU:0", "/device:GPU:0", "/device:GPU:1"]
        initialize(opened)
        opened.run(step)
        opened.run(step)
        for v, got in zip(variables, opened.run(variables)):
            np.testing.assert_allclose(got, numpy_weights(RATES[v.op.name], [1.0, 1.0]), rtol=2e-6)
