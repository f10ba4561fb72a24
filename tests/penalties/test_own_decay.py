"""Programs that decay by themselves are found by structure; what only looks like a decay is left in peace."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, one_step, run, sgd, weights
from tf1_wd import errors


class Slots:
    """What own optimizers keep, and how they read it."""

    wd, lr = 0.25, 0.125

    def __init__(self, v):
        self.v = v
        self.m = tf.get_variable("m", v.shape, v.dtype.base_dtype, tf.ones_initializer(), trainable=False)
        self.u = tf.get_variable("u", v.shape, v.dtype.base_dtype, tf.ones_initializer(), trainable=False)
        self.fed = tf.placeholder(v.dtype.base_dtype, [], name="fed")
        self.shapeless = tf.placeholder(v.dtype.base_dtype, name="shapeless")
        self.kept = tf.get_variable("kept", [], v.dtype.base_dtype, trainable=False)

    @property
    def adam(self):
        return self.m / (tf.sqrt(self.u) + 1e-6)


def halve_in_a_branch(s):
    return tf.cond(tf.constant(True), lambda: tf.identity(s.v.assign(s.v * (1 - s.wd))), lambda: tf.identity(s.v))


OWN_DECAYS = {
    "a factor": lambda s: s.v.assign(s.v * (1 - s.wd)),
    "a fed factor": lambda s: s.v.assign(s.v * (1 - s.fed)),
    "a kept factor": lambda s: s.v.assign((1.0 - s.kept) * s.v),
    "a placeholder without a shape": lambda s: s.v.assign_sub(s.shapeless * s.wd * s.v),
    "a quotient": lambda s: s.v.assign(s.v / (1.0 + s.fed * s.wd)),
    "a power": lambda s: s.v.assign(s.v * tf.pow(1.0 - s.fed, 2.0)),
    "a subtraction": lambda s: s.v.assign_sub(s.lr * s.wd * s.v),
    "a tiny subtraction": lambda s: s.v.assign_sub(1e-9 * s.v),
    "an addition": lambda s: s.v.assign_add(-s.fed * s.v),
    "a difference": lambda s: s.v.assign(s.v - s.lr * s.wd * s.v),
    "tf.assign": lambda s: tf.assign(s.v, s.v * (1 - s.wd)),
    "tf.assign_sub": lambda s: tf.assign_sub(s.v, tf.multiply(s.v, s.wd)),
    "AdamW": lambda s: s.v.assign_sub(s.lr * (s.adam + s.wd * s.v)),
    "AdamW as a value": lambda s: s.v.assign(s.v - s.fed * (s.adam + s.wd * s.v)),
    "momentum": lambda s: s.v.assign(s.v - s.lr * (s.m + s.wd * s.v)),
    "momentum by parts": lambda s: s.v.assign((1 - s.lr * s.wd) * s.v - s.lr * s.m),
    "a fresh read": lambda s: s.v.assign(s.v.read_value() * (1 - s.wd)),
    "a sum of all": lambda s: s.v.assign(tf.add_n([s.v, -s.wd * s.v, -s.lr * s.m])),
    "a clip": lambda s: s.v.assign(tf.clip_by_value(s.v * (1 - s.wd), -1.0, 1.0)),
    "a guard": lambda s: s.v.assign(tf.where(tf.is_finite(s.m), s.v - s.lr * (s.m + s.wd * s.v), s.v)),
    "a cast": lambda s: s.v.assign(tf.cast(tf.cast(s.v, tf.float32) * (1 - s.wd), s.v.dtype)),
    "ones": lambda s: s.v.assign(s.v * (tf.ones_like(s.m) * (1 - s.wd))),
    "L2's gradient": lambda s: s.v.assign_sub(tf.gradients(s.wd * tf.nn.l2_loss(s.v), s.v)[0]),
    "a branch": halve_in_a_branch,
    "touched rows": lambda s: tf.scatter_sub(s.v, [0], s.wd * tf.gather(s.v, [0])),
    "LAMB": lambda s: s.v.assign_sub(tf.norm(s.v) / tf.norm(s.adam) * (s.adam + s.wd * s.v)),
}


@pytest.mark.parametrize("case", OWN_DECAYS)
def test_a_decay_that_the_graph_holds_is_refused_before_anything_is_built(case, kind):
    w = weights("kernel", l2())
    OWN_DECAYS[case](Slots(w))
    with pytest.raises(errors.AlreadyDecoupledError, match=r"kernel \(in .*exclude the variables"):
        with tf1_wd.decoupled_weight_decay():
            optimizer = sgd()
            pairs = optimizer.compute_gradients(data_loss(w), [w])
            before = len(tf.get_default_graph().get_operations())
            try:
                optimizer.apply_gradients(pairs)
            finally:
                assert len(tf.get_default_graph().get_operations()) == before


@pytest.mark.parametrize("case", [case for case in OWN_DECAYS if case != "L2's gradient"])
def test_a_decay_made_after_the_update_is_refused_at_the_scopes_end(case, kind):
    w = weights("kernel", l2())
    slots = Slots(w)

    @tf1_wd.decoupled_weight_decay
    def build():
        with tf.control_dependencies([sgd().minimize(data_loss(w))]):
            return OWN_DECAYS[case](slots)

    with pytest.raises(errors.AlreadyDecoupledError, match=r"kernel \(in .*exclude the variables"):
        build()


@pytest.mark.parametrize("order", ["after", "before"])
@pytest.mark.parametrize("case", OWN_DECAYS)
def test_attach_refuses_a_decay_wherever_the_graph_holds_it(case, order, kind):
    w = weights("kernel", l2())
    OWN_DECAYS[case](Slots(w))
    train_op = sgd().minimize(data_loss(w))
    with pytest.raises(errors.AlreadyDecoupledError, match=r"kernel \(in "):
        tf1_wd.attach(train_op, order=order)


@pytest.mark.parametrize("case", OWN_DECAYS)
def test_an_excluded_variable_may_decay_by_itself(case, kind):
    w, own = weights("w", l2()), weights("own", l2())
    OWN_DECAYS[case](Slots(own))
    with tf1_wd.decoupled_weight_decay(exclude="^own$"):
        train_op = sgd().minimize(data_loss(w) + data_loss(own))
    assert_close(run(train_op, w), one_step())


def test_a_decay_of_a_subclass_that_hands_over_is_refused(kind):
    class Shrinking(tf.train.GradientDescentOptimizer):
        def apply_gradients(self, grads_and_vars, global_step=None, name=None):
            with tf.control_dependencies([v.assign(0.75 * v) for _, v in grads_and_vars]):
                return super().apply_gradients(grads_and_vars, global_step, name)

    w = weights("kernel", l2())
    with pytest.raises(errors.AlreadyDecoupledError, match=r"kernel \(in "), tf1_wd.decoupled_weight_decay():
        Shrinking(LR).minimize(data_loss(w))


def moving_average(s):
    average = tf.train.ExponentialMovingAverage(0.75)
    with tf.control_dependencies([average.apply([s.v])]):
        return s.v.assign(average.average(s.v))


def accumulator(s):
    with tf.control_dependencies([s.m.assign_add(s.v)]):
        return s.m.assign(s.m * 0.0)


def spectral_norm(s):
    v = tf.matmul(s.v, s.m, transpose_a=True)
    sigma = tf.norm(tf.matmul(s.v, v))
    with tf.control_dependencies([s.u.assign(tf.nn.l2_normalize(s.u))]):
        return s.v.assign(s.v / sigma)


INNOCENT = {
    "max-norm": lambda s: s.v.assign(s.v * 0.5 / tf.maximum(tf.norm(s.v), 0.5)),
    "max-norm by rows": lambda s: s.v.assign(tf.clip_by_norm(s.v, 0.5, axes=[1])),
    "max-norm where too large": lambda s: s.v.assign(
        tf.cond(tf.norm(s.v) > 0.5, lambda: s.v * 0.5 / tf.norm(s.v), lambda: tf.identity(s.v))
    ),
    "max-norm as a difference": lambda s: s.v.assign_sub(s.v * tf.nn.relu(1.0 - 0.5 / tf.norm(s.v))),
    "a step and max-norm": lambda s: s.v.assign(tf.clip_by_norm(s.v - s.lr * s.m, 0.5)),
    "unit norm": lambda s: s.v.assign(tf.nn.l2_normalize(s.v)),
    "weight clipping": lambda s: s.v.assign(tf.clip_by_value(s.v, -0.01, 0.01)),
    "zero mean": lambda s: s.v.assign(s.v - tf.reduce_mean(s.v)),
    "a mask": lambda s: s.v.assign(s.v * tf.cast(s.m > 0.5, s.v.dtype)),
    "orthogonality": lambda s: s.v.assign(1.5 * s.v - 0.5 * tf.matmul(tf.matmul(s.v, s.v, transpose_b=True), s.v)),
    "spectral norm": spectral_norm,
    "a target network": lambda s: s.m.assign(0.05 * s.v + 0.95 * s.m),
    "a fed target network": lambda s: s.m.assign(s.fed * s.v + (1.0 - s.fed) * s.m),
    "a mean with another": lambda s: s.v.assign(0.05 * s.m + 0.95 * s.v),
    "a fed mean with another": lambda s: s.v.assign(s.fed * s.m + (1.0 - s.fed) * s.v),
    "a mean by difference": lambda s: s.v.assign_sub((1.0 - s.fed) * (s.v - s.m)),
    "elastic averaging": lambda s: s.v.assign_add(s.lr * (s.m - s.v)),
    "moving averages": moving_average,
    "an accumulator": accumulator,
    "a reset": lambda s: s.v.assign(s.v * 0.0),
    "a growth": lambda s: s.v.assign(1.5 * s.v),
    "a copy": lambda s: s.v.assign(tf.identity(s.v)),
    "another value": lambda s: s.v.assign(0.5 * s.m),
    "a step of Adam": lambda s: s.v.assign_sub(s.lr * s.adam),
    "a step of SGD": lambda s: s.v.assign(s.v - s.fed * s.m),
    "LARS without decay": lambda s: s.v.assign_sub(tf.norm(s.v) / tf.norm(s.adam) * s.adam),
    "a slot": lambda s: s.m.assign(0.9 * s.m + 0.1 * s.v),
    "a saver": lambda s: tf.train.Saver([s.v]),
    "another optimizer": lambda s: sgd().minimize(data_loss(s.v), var_list=[s.v]),
}


@pytest.mark.parametrize("case", INNOCENT)
def test_what_only_looks_like_decay_is_left_in_peace(case, kind, backend):
    w = weights("kernel", l2())
    slots = Slots(w)
    INNOCENT[case](slots)
    with tf1_wd.decoupled_weight_decay(backend=backend):
        train_op = sgd().minimize(data_loss(w), var_list=[w])
        INNOCENT[case](slots)
    assert_close(run(train_op, w), one_step())


@pytest.mark.parametrize("case", INNOCENT)
def test_attach_leaves_in_peace_what_only_looks_like_decay(case, kind):
    w = weights("kernel", l2())
    INNOCENT[case](Slots(w))
    train_op = tf1_wd.attach(sgd().minimize(data_loss(w), var_list=[w]))
    assert_close(run(train_op, w), one_step())


@pytest.mark.parametrize("optimizer", ["sgd", "ftrl"])
@pytest.mark.parametrize("order", ["after", "before"])
def test_a_decay_of_another_scope_is_no_decay_of_the_program(order, optimizer, kind, backend):
    w = weights(regularizer=lambda v: RATE * tf.nn.l2_loss(v) + 0.125 * tf.reduce_sum(tf.abs(v)))
    for _ in range(2):
        with tf1_wd.decoupled_weight_decay(order=order, backend=backend) as decay:
            train_op = oracle.tf_optimizer(tf, optimizer, LR).minimize(data_loss(w))
    assert [d.rate for d in decay.plan.decaying] == [RATE]
    run(train_op)


def test_an_ema_behind_the_update_is_no_decay(kind, backend):
    w = weights(regularizer=l2())
    average = tf.train.ExponentialMovingAverage(0.75)
    with tf1_wd.decoupled_weight_decay(backend=backend):
        with tf.control_dependencies([sgd().minimize(data_loss(w))]):
            train_op = average.apply([w])
    assert_close(run(train_op, average.average(w)), 0.75 * W0 + 0.25 * one_step())


# --- after a refusal


@pytest.mark.parametrize("early", [False, True])
def test_a_refusal_takes_tensorflows_patches_back_and_leaves_the_graph_to_train_without_decay(early, kind):
    w = weights(regularizer=l2())
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
    with pytest.raises(errors.AlreadyDecoupledError), tf1_wd.decoupled_weight_decay():
        if early:
            w.assign_sub(0.25 * w)
        sgd().minimize(loss)
        w.assign_sub(0.25 * w)
    train_op = sgd().minimize(loss)
    assert_close(run(train_op, w), W0 - LR * (gradient(W0) + RATE * W0))
