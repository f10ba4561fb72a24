# The same names for two updates, a session between them: each has its own gradients. tf.train is no method here.
import tensorflow as tf


class Pretrained:
    def build(self):
        optimizer = tf.train.AdamOptimizer(1e-3)
        gradients, variables = zip(*optimizer.compute_gradients(self.pretrained_loss))
        gradients, _ = tf.clip_by_global_norm(gradients, 5.0)
        self.pretrain_op = optimizer.apply_gradients(zip(gradients, variables))

        sess = tf.Session()
        sess.run(self.pretrain_op)

        optimizer = tf.train.AdamOptimizer(1e-4)
        gradients, variables = zip(*optimizer.compute_gradients(self.loss))
        gradients, _ = tf.clip_by_global_norm(gradients, 5.0)
        self.train_op = optimizer.apply_gradients(zip(gradients, variables))

    def optimize(self):
        optimizer = tf.train.AdamOptimizer(1e-3)
        return optimizer.minimize(self.loss)

    def train(self):
        learning_rate = tf.train.exponential_decay(1e-3, self.step, 100, 0.9)
        return tf.train.AdamOptimizer(learning_rate).minimize(self.other_loss)
