# Gradients in one method, the update in another: the scope goes where both are called.
import tensorflow as tf


class Trainer:
    def __init__(self, loss):
        self.loss = loss
        self.opt = tf.train.AdamOptimizer(1e-3)
        self._compute()
        self._log()
        self._apply()
        self.saver = tf.train.Saver()

    def _compute(self):
        self.grads = self.opt.compute_gradients(self.loss)

    def _log(self):
        for grad, var in self.grads:
            tf.summary.histogram(var.op.name, grad)

    def _apply(self):
        self.train_op = self.opt.apply_gradients(self.grads)
