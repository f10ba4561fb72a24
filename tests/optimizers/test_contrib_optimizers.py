"""tf.contrib.opt itself, and the optimizers of tf1_wd under its name."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.programs import LR, RATE, W0, data_loss, run, weights
from support.tables import batches, table
from support.versions import IS_TF1

if IS_TF1:  # TensorFlow 2 has no tf.contrib
    from tensorflow.contrib import opt

    TWINS = {
        "AdamW": lambda o, r: o.AdamWOptimizer(r, LR, 0.8, 0.99, 1e-6),
        "MomentumW": lambda o, r: o.MomentumWOptimizer(r, LR, 0.9, False, "M"),
        "nesterov": lambda o, r: o.MomentumWOptimizer(r, LR, 0.9, use_nesterov=True),
        "extended": lambda o, r: o.extend_with_decoupled_weight_decay(tf.train.AdagradOptimizer)(r, learning_rate=LR),
    }

    @pytest.mark.parametrize("name", TWINS)
    def test_each_step_is_that_of_tf_contrib_opt(name, kind, backend, monkeypatch):
        monkeypatch.setattr(tf1_wd.DecoupledWeightDecayExtension, "backend", backend)
        slope, ids = tf.placeholder(tf.float32, W0.shape), tf.placeholder(tf.int32, [None])
        count, found = tf.placeholder(tf.float32, []), []
        for o in (tf1_wd, opt):
            # gradients that read no weights: contrib's decay runs beside them, in either order
            a, b = (weights("%s_%s" % (o.__name__[:3], x), dtype=np.float32) for x in "ab")
            t = table("%s_table" % o.__name__[:3], np.float32)
            loss = tf.reduce_sum(slope * (a + b)) + tf.reduce_sum(tf.gather(t, ids))
            made = TWINS[name](o, 0.25 if name == "AdamW" else 0.25 / count)
            pairs = made.compute_gradients(loss, [a, b, t])
            found.append((made.apply_gradients(pairs, decay_var_list=[a, t]), [a, b, t]))
        (ours, mine), (theirs, others) = found
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for i, batch in enumerate(batches(10)):
                feed = {slope: np.sin(W0 + i), ids: batch, count: 1.0 + i}
                session.run([ours, theirs], feed)
                for x, y in zip(*session.run([mine, others])):
                    np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-7)

    def arguments(function):
        """Names, kinds and defaults, in order; tf.contrib has no annotations."""
        return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]

    def test_arguments_and_variables_are_those_of_tf_contrib_opt(kind):
        for name in ("AdamWOptimizer", "MomentumWOptimizer", "extend_with_decoupled_weight_decay"):
            assert arguments(getattr(tf1_wd, name)) == arguments(getattr(opt, name))
        for name in ("minimize", "apply_gradients"):
            ours, theirs = (getattr(o.AdamWOptimizer, name) for o in (tf1_wd, opt))
            assert arguments(ours) == arguments(theirs)
        for make in TWINS.values():
            names = []
            for o in (tf1_wd, opt):
                with tf.Graph().as_default(), tf.variable_scope("", use_resource=kind == "resource"):
                    make(o, RATE).minimize(data_loss(weights(dtype=np.float32)))
                    names.append([v.name for v in tf.global_variables()])
            assert names[0] == names[1]

    def test_contrib_decays_no_table_under_gradient_descent(kind):
        w = table(dtype=np.float32)
        made = opt.extend_with_decoupled_weight_decay(tf.train.GradientDescentOptimizer)(0.25, learning_rate=LR)
        train_op = made.minimize(0.0 * tf.reduce_sum(tf.gather(w, [1])))
        np.testing.assert_array_equal(run(train_op, w), run(w))


LEGACY = """
import sys, numpy as np
from tf1_wd.legacy import install
if sys.argv[1] == "2":
    import tensorflow.compat.v2
    import tf1_wd
    try:
        variable = tensorflow.compat.v2.Variable([1.0])
        tf1_wd.AdamWOptimizer(0.25).apply_gradients([(tensorflow.compat.v2.constant([1.0]), variable)])
    except tf1_wd.EagerModeError as error:
        print("disable_v2_behavior" in str(error))
install()
import tensorflow as tf
from tensorflow.contrib.opt import MomentumWOptimizer
from tensorflow.contrib.opt.python.training import weight_decay_optimizers
w = tf.get_variable("w", initializer=np.ones(2, np.float32))
bias = tf.get_variable("bias", initializer=np.ones(2, np.float32))
optimizer = tf.contrib.opt.AdamWOptimizer(weight_decay=0.25, learning_rate=0.125)
train_op = optimizer.minimize(tf.reduce_sum(w + bias), decay_var_list=[w])
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(train_op)
    print([float(np.round(x, 3)) for x in session.run([w, bias])[0]], [float(x) for x in session.run(bias).round(3)])
print(isinstance(optimizer, tf.contrib.opt.DecoupledWeightDecayExtension), type(optimizer).__module__)
"""


def test_tf_contrib_opt_is_there_under_the_legacy_runtime():
    out = subprocess.run(
        [sys.executable, "-c", LEGACY, tf.__version__[0]], stdout=subprocess.PIPE, text=True, check=True, timeout=300
    ).stdout.split("\n")
    if IS_TF1:  # the real one, which forgets decay_var_list
        assert out[0] == "[0.625, 0.625] [0.625, 0.625]"
        assert out[1].startswith("True tensorflow.contrib.opt") or out[1].startswith("True tensorflow_core.contrib.opt")
    else:
        assert out[0] == "True"
        assert out[1] == "[0.625, 0.625] [0.875, 0.875]"
        assert out[2].startswith("True tf1_wd.optimizers")
