"""What cannot be decayed right is refused, by name and with a way out; what only looks like it is left in peace."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, assert_close, data_loss, gradient, l2, one_step, run, sgd, weights
from support.versions import IS_TF1
from tf1_wd import errors


def slot(v, name):
    return tf.get_variable(v.op.name + "/" + name, v.shape, v.dtype.base_dtype, tf.zeros_initializer(), trainable=False)


# --- optimizers with an apply_gradients of their own


class AdamWeightDecayOptimizer(tf.train.Optimizer):
    """In the style of BERT: updates by assignments, and decays all but the variables that match a pattern."""

    def __init__(self, learning_rate, weight_decay_rate=0.0, exclude_from_weight_decay=None):
        super().__init__(False, "AdamWeightDecayOptimizer")
        self.learning_rate = learning_rate
        self.weight_decay_rate = weight_decay_rate
        self.exclude_from_weight_decay = exclude_from_weight_decay or []

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        return tf.group(*[op for g, v in grads_and_vars for op in self.assignments(g, v)], name=name)

    def assignments(self, g, v):
        m, u = slot(v, "adam_m"), slot(v, "adam_v")
        next_m = 0.9 * m + 0.1 * g
        next_u = 0.999 * u + 0.001 * tf.square(g)
        update = next_m / (tf.sqrt(next_u) + 1e-6)
        if self.weight_decay_rate and not any(word in v.op.name for word in self.exclude_from_weight_decay):
            update += self.weight_decay_rate * v
        return [v.assign(v - self.learning_rate * self.trust(v, update) * update), m.assign(next_m), u.assign(next_u)]

    def trust(self, v, update):
        return 1.0


class LAMBOptimizer(AdamWeightDecayOptimizer):
    """As LAMB scales the update of each layer; its decay has a name that nobody knows."""

    def __init__(self, learning_rate, decay=0.25):
        super().__init__(learning_rate)
        self.decay = decay

    def assignments(self, g, v):
        self.weight_decay_rate = self.decay
        return super().assignments(g, v)

    def trust(self, v, update):
        w_norm, norm = tf.norm(v), tf.norm(update)
        return tf.where(tf.greater(w_norm, 0), w_norm / norm, tf.ones_like(norm))


def bert_step(w, rate=0.0):
    g = gradient(w)
    return w - LR * (0.1 * g / (np.sqrt(0.001 * g * g) + 1e-6) + rate * w)


def test_berts_optimizer_is_refused_with_its_decay_rate(kind):
    w = weights(regularizer=l2())
    with pytest.raises(errors.AlreadyDecoupledError, match=r"AdamWeightDecayOptimizer.*weight_decay_rate=0\.25"):
        with tf1_wd.decoupled_weight_decay():
            AdamWeightDecayOptimizer(LR, 0.25).minimize(data_loss(w))


@pytest.mark.parametrize("optimizer", [AdamWeightDecayOptimizer, LAMBOptimizer])
def test_an_own_apply_gradients_is_refused_with_its_class(optimizer, kind):
    w = weights(regularizer=l2())
    match = r"%s overrides apply_gradients.*tf1_wd\.attach\(train_op, rates=" % optimizer.__name__
    with pytest.raises(errors.UnsupportedUpdateError, match=match), tf1_wd.decoupled_weight_decay():
        optimizer(LR).minimize(data_loss(w))


def test_an_own_apply_gradients_decays_through_attach_as_the_refusal_says(kind, backend):
    w = weights()
    train_op = AdamWeightDecayOptimizer(LR).minimize(data_loss(w))
    np.testing.assert_allclose(bert_step(W0), run(train_op, w), rtol=1e-9)
    attached = tf1_wd.attach(train_op, rates=RATE, backend=backend)
    np.testing.assert_allclose((1 - RATE) * bert_step(W0), run(attached, w), rtol=1e-9)


def test_attach_refuses_berts_decay_by_variable_and_op(kind):
    w, bias = weights("kernel"), weights("bias")
    optimizer = AdamWeightDecayOptimizer(LR, 0.25, ["bias"])
    train_op = optimizer.minimize(data_loss(w) + data_loss(bias))
    assert_close(run(train_op, w), bert_step(W0, 0.25))
    with pytest.raises(errors.AlreadyDecoupledError, match=r"kernel \(in Assign[^)]*\)\. Take"):
        tf1_wd.attach(train_op, rates=RATE)
    assert_close(run(tf1_wd.attach(train_op, rates={"bias": RATE}), bias), (1 - RATE) * bert_step(W0))


def test_attach_refuses_the_decay_of_lamb(kind):
    w = weights("kernel")
    train_op = LAMBOptimizer(LR).minimize(data_loss(w))
    with pytest.raises(errors.AlreadyDecoupledError, match=r"kernel \(in Assign"):
        tf1_wd.attach(train_op, rates=RATE)


def test_attach_takes_l2_in_berts_gradient_for_l2(kind):
    w = weights("kernel")
    train_op = AdamWeightDecayOptimizer(LR).minimize(data_loss(w) + RATE * tf.nn.l2_loss(w))
    with pytest.raises(errors.CoupledPenaltyError, match="kernel"):
        tf1_wd.attach(train_op, rates=RATE)


def test_a_class_made_inside_the_scope_is_refused_too(kind):
    w = weights(regularizer=l2())

    @tf1_wd.decoupled_weight_decay
    def build():
        class Late(tf.train.GradientDescentOptimizer):
            def apply_gradients(self, grads_and_vars, global_step=None, name=None):
                return tf.group(*[v.assign_sub(LR * g) for g, v in grads_and_vars])

        return Late(LR).minimize(data_loss(w))

    with pytest.raises(errors.UnsupportedUpdateError, match="Late overrides apply_gradients"):
        build()


def test_a_class_made_inside_the_scope_that_hands_over_decays_once_and_is_given_back(kind):
    w = weights(regularizer=l2())
    with tf1_wd.decoupled_weight_decay():

        class Late(tf.train.GradientDescentOptimizer):
            def apply_gradients(self, grads_and_vars, global_step=None, name=None):
                return super().apply_gradients([(2.0 * g, v) for g, v in grads_and_vars], global_step, name)

        train_op = Late(LR / 2).minimize(data_loss(w))
    assert_close(run(train_op, w), one_step())
    assert_close(run(Late(LR / 2).minimize(data_loss(w)), w), W0 - LR * gradient(W0))
    assert "__init_subclass__" not in vars(tf.train.Optimizer)


# --- optimizers of another kind


def keras_optimizers():
    """{name: class} of the optimizers of every Keras that this TensorFlow can import next to another."""
    if IS_TF1:
        return {"Adam": tf.keras.optimizers.Adam, "SGD": tf.keras.optimizers.SGD}
    import keras

    found = {"Adam": keras.optimizers.Adam, "SGD": keras.optimizers.SGD, "AdamW": keras.optimizers.AdamW}
    if keras.__version__.startswith("3."):
        import tf_keras

        found.update(("tf_keras " + name, getattr(tf_keras.optimizers, name)) for name in ("Adam", "SGD", "AdamW"))
        found["legacy Adam"] = tf_keras.optimizers.legacy.Adam
    else:
        found["legacy Adam"] = keras.optimizers.legacy.Adam
    return found


def decaying_optimizers():
    """{name: function that makes it} of the optimizers of this TensorFlow that decay by themselves."""
    if not IS_TF1:
        decoupled = {name: KERAS[name] for name in KERAS if "AdamW" in name}
        return {name: lambda c=c: c(0.1, weight_decay=0.25) for name, c in decoupled.items()}
    from tensorflow.contrib import opt

    return {
        "AdamWOptimizer": lambda: opt.AdamWOptimizer(0.25, LR),
        "MomentumWOptimizer": lambda: opt.MomentumWOptimizer(0.25, LR, 0.9),
        "OptimizerWithDecoupledWeightDecay": lambda: opt.extend_with_decoupled_weight_decay(tf.train.AdagradOptimizer)(
            0.25, learning_rate=LR
        ),
    }


KERAS = keras_optimizers()
# of Keras 2: refused before their update, newer ones when the scope ends, as they are not heard
OF_KERAS_2 = ["Adam", "SGD"] if IS_TF1 else ["legacy Adam"]
DECAYING = decaying_optimizers()


def resource(name="w"):
    """Keras updates resource variables only; float32, as its learning rates are."""
    with tf.variable_scope(tf.get_variable_scope(), use_resource=True):
        return weights(name, dtype=np.float32)


def apply_to(optimizer, w, loss=None):
    return optimizer.apply_gradients([(tf.gradients(data_loss(w) if loss is None else loss, w)[0], w)])


def refusal_of(name, of_a_scope_that_ends):
    """(kind of error, its words) for an optimizer of Keras: those of Keras 2 are heard, newer ones seen at the end."""
    if name in OF_KERAS_2:
        return errors.UnsupportedUpdateError, r"an optimizer of Keras.*tf1_wd\.keras\.decouple.*tf1_wd\.attach"
    return errors.NothingUpdatedError, of_a_scope_that_ends


def updates_of(w):
    """The train_op that newer Keras does not return."""
    operations = tf.get_default_graph().get_operations()
    return tf.group(*[o for o in operations if "Assign" in o.type and o is not w.initializer])


@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("name", [name for name in KERAS if "AdamW" not in name])
def test_a_keras_optimizer_is_refused_with_variable_and_op(name, penalty):
    w = resource("kernel")
    loss = data_loss(w) + (RATE * tf.nn.l2_loss(w) if penalty else 0.0)
    kind, text = refusal_of(name, r"kernel is updated by .*/.*Keras.*tf1_wd\.attach")
    with pytest.raises(kind, match=text):
        with tf1_wd.decoupled_weight_decay(rates=None if penalty else RATE):
            apply_to(KERAS[name](0.1), w, loss)


@pytest.mark.parametrize("name", OF_KERAS_2)
def test_a_keras_optimizer_is_refused_before_its_update_for_l2_in_other_words_too(name):
    w, x = resource("kernel"), tf.placeholder(tf.float32, W0.shape)
    loss = tf.reduce_sum(x * w) + RATE * tf.nn.l2_loss(np.eye(*W0.shape, dtype=np.float32) * w)
    kind, text = refusal_of(name, "")
    with pytest.raises(kind, match=text):
        with tf1_wd.decoupled_weight_decay():
            apply_to(KERAS[name](0.1), w, loss)
    assert not [op for op in tf.get_default_graph().get_operations() if "ResourceApply" in op.type]


@pytest.mark.parametrize("name", KERAS)
def test_a_keras_optimizer_beside_one_of_tf_train_is_refused(name):
    w, other = resource("kernel"), resource("other")
    kind, text = refusal_of(name, r"kernel is updated by .*tf1_wd\.attach")
    with pytest.raises(kind, match=text):
        with tf1_wd.decoupled_weight_decay(rates=RATE):
            sgd().minimize(data_loss(other), var_list=[other])
            apply_to(KERAS[name](0.1), w)


@pytest.mark.parametrize("name", KERAS)
def test_a_keras_optimizer_beside_one_of_tf_train_is_welcome_where_nothing_decays(name):
    w, other = resource("kernel"), resource("other")
    with tf1_wd.decoupled_weight_decay(rates=RATE, exclude="kernel"):
        train_op = sgd().minimize(data_loss(other), var_list=[other])
        apply_to(KERAS[name](0.1), w)
    assert_close(run(train_op, other), one_step())


@pytest.mark.parametrize("name", [name for name in KERAS if name == "legacy Adam" or tf.__version__ < "2"])
def test_a_keras_optimizer_with_a_train_op_decays_through_attach(name):
    w = resource()
    train_op = apply_to(KERAS[name](0.1), w)
    bare = run(train_op, w)
    assert np.abs(bare - W0).max() > 0.01
    np.testing.assert_allclose(run(tf1_wd.attach(train_op, rates=RATE), w), (1 - RATE) * bare, rtol=1e-6)


@pytest.mark.parametrize("name", KERAS)
def test_attach_takes_no_counter_for_a_train_op(name):
    w = resource()
    apply_to(KERAS[name](0.1), w)
    counter = tf.get_variable("iterations", initializer=0, trainable=False).assign_add(1)
    with pytest.raises(errors.UnsupportedUpdateError, match=r"Keras.*counter.*use one of tf\.train"):
        tf1_wd.attach(counter, rates=RATE)


@pytest.mark.parametrize("name", DECAYING)
def test_an_optimizer_that_decays_by_itself_is_refused(name):
    w = resource("kernel")
    match = "kernel" if "AdamW" in KERAS else name + " decays weights by itself"
    with pytest.raises(errors.AlreadyDecoupledError, match=match), tf1_wd.decoupled_weight_decay(rates=RATE):
        apply_to(DECAYING[name](), w)


@pytest.mark.parametrize("name", DECAYING)
def test_attach_refuses_an_optimizer_that_decays_by_itself(name):
    w = resource("kernel")
    apply_to(DECAYING[name](), w)
    with pytest.raises(errors.AlreadyDecoupledError, match=r"kernel \(in "):
        tf1_wd.attach(updates_of(w), rates=RATE)


@pytest.mark.parametrize(
    "optimizer",
    [
        tf.train.FtrlOptimizer(LR, l2_regularization_strength=0.25),
        tf.train.ProximalGradientDescentOptimizer(LR, l2_regularization_strength=0.25),
    ],
)
def test_an_optimizer_with_l2_of_its_own_is_refused_where_it_meets_a_decay(optimizer, kind):
    w, other = weights("w", l2(), dtype=np.float32), weights("other", dtype=np.float32)
    with pytest.raises(errors.AlreadyDecoupledError, match=r"l2_regularization_strength=0\.25"):
        with tf1_wd.decoupled_weight_decay():
            optimizer.minimize(data_loss(w))
    with tf1_wd.decoupled_weight_decay():
        optimizer.minimize(data_loss(other), var_list=[other])
        train_op = sgd().minimize(data_loss(w), var_list=[w])
    assert_close(run(train_op, w), one_step())


def test_no_update_under_a_distribution_strategy_is_told_too():
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        weights()
        with pytest.raises(errors.NothingUpdatedError, match="minimize or apply_gradients"):
            with tf1_wd.decoupled_weight_decay(rates=RATE):
                pass


def test_an_own_class_of_assignments_is_refused_with_variable_and_op(kind):
    class Own:
        def minimize(self, loss, v):
            return v.assign(v - LR * tf.gradients(loss, v)[0], name="own_step")

    w, other = weights("kernel"), weights("other")
    loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
    with pytest.raises(errors.NothingUpdatedError, match=r"kernel is updated by own_step.*tf1_wd\.attach"):
        with tf1_wd.decoupled_weight_decay():
            Own().minimize(loss, w)
    with pytest.raises(errors.NothingUpdatedError, match=r"kernel is updated by own_step_1.*tf1_wd\.attach"):
        with tf1_wd.decoupled_weight_decay():
            sgd().minimize(data_loss(other) + RATE * tf.nn.l2_loss(other), var_list=[other])
            Own().minimize(loss, w)


def test_l2_of_looked_up_rows_is_no_decay_of_the_programs_own(kind):
    table, rows = weights("table"), tf.placeholder(tf.int32, [None])
    looked_up = tf.nn.embedding_lookup(table, rows)
    with tf1_wd.decoupled_weight_decay(rates=RATE) as decay:
        sgd().minimize(tf.reduce_sum(looked_up) + RATE * tf.nn.l2_loss(looked_up))
    assert [d.name for d in decay.plan.decaying] == ["table"]


# --- gradients applied by NumPy


@pytest.mark.parametrize("penalty", [False, True])
def test_gradients_applied_by_numpy_are_refused_with_the_two_ways_out(penalty, kind):
    w = weights()
    loss = data_loss(w) + (RATE * tf.nn.l2_loss(w) if penalty else 0.0)
    match = r"applied in NumPy.*w -= r \* w.*placeholders.*rates="
    with pytest.raises(errors.NothingUpdatedError, match=match):
        with tf1_wd.decoupled_weight_decay(rates=None if penalty else RATE):
            tf.gradients(loss, w)


@pytest.mark.parametrize("inside", [False, True])
def test_fed_gradients_ask_for_rates_and_name_the_placeholder(inside, kind):
    w, fed = weights(regularizer=l2()), tf.placeholder(tf.float64, W0.shape, name="fed")
    with pytest.raises(errors.UnsupportedUpdateError, match=r"gradient of w .*placeholder fed.*rates="):
        with tf1_wd.decoupled_weight_decay():
            if inside:
                tf.gradients(data_loss(w) + RATE * tf.nn.l2_loss(w), w)
            sgd().apply_gradients([(tf.clip_by_norm(fed, 100.0), w)])


def test_fed_gradients_decay_once_an_applied_update(kind, backend):
    w, fed = weights(), tf.placeholder(tf.float64, W0.shape)
    with tf1_wd.decoupled_weight_decay(rates=RATE, backend=backend):
        raw = tf.gradients(data_loss(w), w)[0]
        train_op = tf.train.AdamOptimizer(LR).apply_gradients([(fed, w)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            micro = [session.run(raw) for _ in range(4)]
            session.run(train_op, {fed: np.mean(micro, axis=0)})
        assert_close(session.run(w), oracle.train("adam", LR, W0, gradient, 3, "after", RATE))
