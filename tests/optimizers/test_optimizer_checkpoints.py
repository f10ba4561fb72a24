"""Checkpoints of tf.contrib.opt and of Adam, read by tf1_wd's optimizers: training goes on as the formula says.

cases/contrib_adamw holds a checkpoint that tf.contrib.opt wrote after 3 steps on TensorFlow 1.15.5; it is written anew
by `python tests/optimizers/test_optimizer_checkpoints.py` there.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import oracle
from support.programs import LR, RATE, W0, assert_close, weights
from support.versions import IS_TF1
from tf1_wd import errors

WRITTEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases", "contrib_adamw", "model.ckpt")
SLOPE = np.cos(W0)


def program(optimizer, restored=None):
    """(train_op, w, saver): gradients read no weights, for contrib's decay runs beside them, in either order.

    restored: function of the optimizer that says what a saver restores.
    """
    with tf.variable_scope("net"):
        w = weights()
    train_op = optimizer.minimize(tf.reduce_sum(SLOPE * w), tf.train.get_or_create_global_step())
    return train_op, w, tf.train.Saver(None if restored is None else restored(optimizer))


def write(optimizer, path):
    """Saves a program after 3 steps; returns the path."""
    with tf.Graph().as_default(), tf.Session() as session:
        train_op, _, saver = program(optimizer())
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(train_op)
        return saver.save(session, str(path), write_meta_graph=False, write_state=False)


def train_on(path, optimizer, restored=None):
    """(weights that were read, weights after 2 steps more)."""
    train_op, w, saver = program(optimizer, restored)
    with tf.Session() as session:
        saver.restore(session, path)
        read = session.run(w)
        session.run(train_op)
        session.run(train_op)
        return read, session.run(w)


def wanted(steps_without, steps_with):
    """Adam without decay for some steps, then with it."""
    adam, w = oracle.Optimizer("adam", LR), W0
    for rate in [0.0] * steps_without + [RATE] * steps_with:
        w = w - adam.step(w, SLOPE) - rate * w
    return w


def adam():
    return tf.train.AdamOptimizer(LR)


def adamw():
    return tf1_wd.AdamWOptimizer(RATE, LR)


def test_a_checkpoint_of_contribs_adamw_is_read_and_trained_on(kind):
    read, trained = train_on(WRITTEN, adamw())
    assert_close(read, wanted(0, 3))
    assert_close(trained, wanted(0, 5))


if IS_TF1:  # TensorFlow 2 has no tf.contrib

    def contrib():
        from tensorflow.contrib.opt import AdamWOptimizer

        return AdamWOptimizer(RATE, LR)

    def test_the_checkpoint_of_contribs_adamw_is_what_contrib_writes(kind, tmp_path):
        path = write(contrib, tmp_path / "model.ckpt")
        new, kept = map(tf.train.load_checkpoint, (path, WRITTEN))
        assert new.get_variable_to_shape_map() == kept.get_variable_to_shape_map()
        for name in new.get_variable_to_shape_map():
            np.testing.assert_allclose(new.get_tensor(name), kept.get_tensor(name), rtol=1e-12)

    def test_contrib_reads_a_checkpoint_of_ours(kind, tmp_path):
        read, trained = train_on(write(adamw, tmp_path / "model.ckpt"), contrib())
        assert_close(read, wanted(0, 3))
        assert_close(trained, wanted(0, 5))


def test_a_checkpoint_of_adam_is_read_through_the_map_by_a_saver(kind, tmp_path):
    path = write(adam, tmp_path / "model.ckpt")
    with pytest.raises(tf.errors.NotFoundError, match="net/w/AdamW"), tf.Graph().as_default():
        train_on(path, adamw())
    read, trained = train_on(path, adamw(), tf1_wd.checkpoint_map)
    assert_close(read, wanted(3, 0))
    assert_close(trained, wanted(3, 2))


def test_a_checkpoint_of_adam_is_read_through_the_map_by_init_from_checkpoint(kind, tmp_path):
    path = write(adam, tmp_path / "model.ckpt")
    optimizer = adamw()
    train_op, w, _ = program(optimizer)
    tf.train.init_from_checkpoint(path, tf1_wd.checkpoint_map(optimizer))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert_close(session.run(w), wanted(3, 0))
        session.run(train_op)
        assert_close(session.run(w), wanted(3, 1))


def test_an_optimizer_with_adams_name_reads_a_checkpoint_of_adam_without_a_map(kind, tmp_path):
    read, trained = train_on(write(adam, tmp_path / "model.ckpt"), tf1_wd.AdamWOptimizer(RATE, LR, name="Adam"))
    assert_close(read, wanted(3, 0))
    assert_close(trained, wanted(3, 2))


def test_adam_reads_a_checkpoint_of_adamw_and_a_scope_decays_on(tmp_path):
    path = write(adamw, tmp_path / "model.ckpt")
    with tf1_wd.decoupled_weight_decay(rates=RATE, order="before"):
        read, trained = train_on(path, adam(), lambda made: tf1_wd.checkpoint_map(made, "AdamW"))
    assert_close(read, wanted(0, 3))
    assert_close(trained, wanted(0, 5))


def test_the_map_renames_slots_alone_those_of_several_optimizers_too():
    with tf.variable_scope("AdamW"):
        w = weights("AdamW")
    first, second = adamw(), adamw()
    for optimizer in (first, second):
        optimizer.minimize(tf.reduce_sum(w))
    both = dict(tf1_wd.checkpoint_map(first), **tf1_wd.checkpoint_map(second, variables=second.variables()))
    names = {name: v.op.name for name, v in both.items() if "beta" not in name}
    assert names["AdamW/AdamW"] == "AdamW/AdamW"
    assert names["AdamW/AdamW/Adam_1"] == "AdamW/AdamW/AdamW_1"
    assert names["AdamW/AdamW/Adam_3"] == "AdamW/AdamW/AdamW_3"


@pytest.mark.parametrize("reader", ["saver", "init_from_checkpoint"])
def test_parts_of_variables_are_read_through_the_map(reader, kind, tmp_path):
    def parted(optimizer):
        with tf.variable_scope("net", partitioner=tf.fixed_size_partitioner(2)):
            w = tf.get_variable("w", W0.shape, tf.float64, tf.ones_initializer())
        return optimizer.minimize(tf.reduce_sum(SLOPE * tf.convert_to_tensor(w))), w

    with tf.Graph().as_default(), tf.Session() as session:
        train_op, _ = parted(adam())
        saver = tf.train.Saver()
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        path = saver.save(session, str(tmp_path / "model.ckpt"))
    optimizer = adamw()
    train_op, w = parted(optimizer)
    names = tf1_wd.checkpoint_map(optimizer)
    if reader == "init_from_checkpoint":
        tf.train.init_from_checkpoint(path, names)
    slots = [optimizer.get_slot(part, "m") for part in w]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        if reader == "saver":
            tf.train.Saver(names).restore(session, path)
        assert_close(np.concatenate(session.run(slots)), 0.1 * SLOPE)
        assert_close(np.concatenate(session.run(list(w))), 1.0 - oracle.Optimizer("adam", LR).step(W0, SLOPE))


def test_the_map_needs_slots():
    with pytest.raises(errors.InvalidOptionError, match=r"AdamW has no slots: build its train_op first"):
        tf1_wd.checkpoint_map(adamw())


def test_a_map_is_made_of_an_optimizer_alone():
    with pytest.raises(errors.InvalidOptionError, match=r"optimizer='Adam' is no tf\.train\.Optimizer"):
        tf1_wd.checkpoint_map("Adam")


if __name__ == "__main__":  # on TensorFlow 1.15.5
    tf.disable_v2_behavior()
    write(contrib, WRITTEN)
