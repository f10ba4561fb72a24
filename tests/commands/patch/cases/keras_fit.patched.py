# A Keras model is decoupled behind its compile; a regular expression is no model.
import re

import tensorflow as tf
import tf1_wd.keras

NAME = re.compile("kernel")


def build(width):
    """A model of one layer."""
    l2 = tf.keras.regularizers.l2(0.01)
    net = tf.keras.Sequential([tf.keras.layers.Dense(width, input_shape=(3,), kernel_regularizer=l2)])
    net.compile(loss="mse", optimizer=tf.keras.optimizers.Adam(0.1))  # Keras's own
    tf1_wd.keras.decouple(net, tf1_wd.keras.plan(net, convention="adamw"))

    return net


model = build(1)
model.fit(x, y, epochs=2)
