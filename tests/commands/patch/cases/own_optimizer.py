# left alone: AdamWeightDecayOptimizer
import re

import tensorflow as tf


def create_optimizer(loss, init_lr):
    optimizer = AdamWeightDecayOptimizer(learning_rate=init_lr, weight_decay_rate=0.01)
    tvars = tf.trainable_variables()
    grads = tf.gradients(loss, tvars)
    (grads, _) = tf.clip_by_global_norm(grads, clip_norm=1.0)
    return optimizer.apply_gradients(zip(grads, tvars))


class AdamWeightDecayOptimizer(tf.train.Optimizer):
    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        assignments = []
        for (grad, param) in grads_and_vars:
            update = self._adam(grad, param)
            update += self.weight_decay_rate * param
            assignments.append(param.assign(param - self.learning_rate * update))
        return tf.group(*assignments, name=name)
