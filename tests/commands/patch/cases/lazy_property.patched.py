# A lazy property: the decorator of the scope is the innermost one.
import tensorflow as tf
import tf1_wd


class Model:
    def __init__(self, image, label):
        self.image = image
        self.label = label
        self.optimize

    @lazy_property
    @tf1_wd.decoupled_weight_decay(convention="adamw", source="loss")
    def optimize(self):
        logprob = tf.log(self.prediction + 1e-12)
        cross_entropy = -tf.reduce_sum(self.label * logprob)
        optimizer = tf.train.RMSPropOptimizer(0.03)
        return optimizer.minimize(cross_entropy + 1e-4 * tf.nn.l2_loss(self.weights))
