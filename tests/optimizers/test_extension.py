"""Classes of other people, extended with decoupled weight decay."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.optimizers import wanted
from support.programs import LR, RATE, W0, assert_close, data_loss, run, weights
from tf1_wd import errors


def test_an_own_class_extends_as_contrib_documents_it(kind):
    class AdagradW(tf1_wd.DecoupledWeightDecayExtension, tf.train.AdagradOptimizer):
        def __init__(self, weight_decay, *args, **kwargs):
            super().__init__(weight_decay, *args, **kwargs)

    w = weights()
    assert_close(run(AdagradW(RATE, learning_rate=LR).minimize(data_loss(w)), w), wanted("adagrad", 1))


def test_a_class_whose_step_reads_the_weights_reads_those_it_began_from(kind):
    class Shrinking(tf1_wd.AdamWOptimizer):
        """Its step ends with w <- w - w / 8."""

        def _apply_dense(self, grad, var):
            with tf.control_dependencies([super()._apply_dense(grad, var)]):
                return tf.assign_sub(var, 0.125 * var.read_value()).op

        def _resource_apply_dense(self, grad, var):
            with tf.control_dependencies([super()._resource_apply_dense(grad, var)]):
                return var.assign_sub(0.125 * var.read_value())

    w = weights()
    train_op = Shrinking(RATE, LR).minimize(data_loss(w))
    assert_close(run(train_op, w), 0.875 * wanted("adam", 1, 0.0) - RATE * W0)


def test_an_optimizer_around_another_is_refused():
    class Around(tf.train.Optimizer):
        def __init__(self, inner):
            super().__init__(False, "Around")
            self.inner = inner

        def apply_gradients(self, *args, **kwargs):
            return self.inner.apply_gradients(*args, **kwargs)

    made = tf1_wd.extend_with_decoupled_weight_decay(Around)(RATE, tf.train.AdamOptimizer(LR))
    w = weights()
    with pytest.raises(errors.UnsupportedUpdateError, match=r"its own way.*let that one decay.*tf1_wd\.attach"):
        made.apply_gradients([(tf.gradients(data_loss(w), w)[0], w)])


def test_a_rule_by_contribs_private_methods_is_refused():
    class Own(tf1_wd.AdamWOptimizer):
        def _decay_weights_op(self, var):
            return tf.no_op()

    with pytest.raises(errors.UnsupportedUpdateError, match=r"Own defines _decay_weights_op"):
        Own(RATE)


@pytest.mark.parametrize("base", [tf.train.GradientDescentOptimizer, tf.train.AdamOptimizer])
def test_the_extension_behind_the_optimizer_is_refused_when_the_class_is_made(base):
    with pytest.raises(errors.InvalidOptionError, match=r"class Late\(%s, .*put the extension first" % base.__name__):

        class Late(base, tf1_wd.DecoupledWeightDecayExtension):
            pass


def test_the_extension_may_stand_behind_a_class_of_its_own_and_before_the_optimizer(kind):
    class Logged:
        """Comes before the extension, and is no optimizer."""

    class Extension(tf1_wd.DecoupledWeightDecayExtension):
        """Of no optimizer yet."""

    class Both(Logged, Extension, tf.train.GradientDescentOptimizer):
        pass

    w = weights()
    assert_close(run(Both(RATE, LR).minimize(data_loss(w)), w), wanted("sgd", 1))


def test_what_decays_already_is_not_extended_again():
    with pytest.raises(errors.InvalidOptionError, match="MomentumWOptimizer has decoupled weight decay already"):
        tf1_wd.extend_with_decoupled_weight_decay(tf1_wd.MomentumWOptimizer)


def test_only_optimizers_of_tf_train_are_extended():
    for base in (object, tf.train.AdamOptimizer(LR), None):
        with pytest.raises(errors.InvalidOptionError, match=r"inherits from tf\.train\.Optimizer"):
            tf1_wd.extend_with_decoupled_weight_decay(base)
