# Both branches update: one scope around the whole `if`.
import tensorflow as tf
import tf1_wd


class Agent:
    def build(self):
        self.q = self.network()
        with tf.variable_scope('optimizer'):
            self.loss = tf.reduce_mean(self.clipped_error(self.delta))
            optimizer = tf.train.RMSPropOptimizer(self.lr, momentum=0.95)

            with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
                if self.max_grad_norm is not None:
                    grads_and_vars = optimizer.compute_gradients(self.loss)
                    for i, (grad, var) in enumerate(grads_and_vars):
                        if grad is not None:
                            grads_and_vars[i] = (tf.clip_by_norm(grad, self.max_grad_norm), var)
                    self.optim = optimizer.apply_gradients(grads_and_vars)
                else:
                    self.optim = optimizer.minimize(self.loss)
        self.saver = tf.train.Saver()
