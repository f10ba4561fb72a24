"""L2 that a layer adds in its call, in a model that fit_generator trains with a learning rate by a schedule."""

import numpy as np
import tensorflow as tf


class Penalised(tf.keras.layers.Layer):
    def build(self, shape):
        self.kernel = self.add_weight("kernel", (2, 1), initializer="ones")

    def call(self, inputs):
        self.add_loss(0.3 * tf.nn.l2_loss(self.kernel))
        return tf.matmul(inputs, self.kernel)


def batches():
    while True:
        yield np.array([[1.0, 2.0]]), np.zeros((1, 1))


model = tf.keras.models.Sequential([Penalised(input_shape=(2,), name="fc")])
schedule = tf.keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
model.compile(optimizer=tf.keras.optimizers.SGD(schedule), loss=lambda y, prediction: prediction)
model.fit_generator(batches(), steps_per_epoch=3, epochs=1, verbose=0)
weights = {"fc/kernel": model.get_weights()[0]}
