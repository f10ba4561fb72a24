"""Programs that `tf1-wd run` executes in the process of a test, and what they train in NumPy."""

from __future__ import annotations

from support import oracle
from support.programs import LR, RATE, W0, gradient

MODEL = """\
import sys
import numpy as np
import tensorflow.compat.v1 as tf
from support.programs import LR, RATE, W0, data_loss, l2, weights
resource = {resource}
tf.get_variable_scope().set_use_resource(resource)
"""
TRAIN = """\
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for _ in range(5):
        session.run(train_op)
    result = session.run(tf.trainable_variables())
"""


def adamw(optimizer="adam", steps=5, rate=RATE, **kwargs):
    return oracle.train(optimizer, LR, W0, gradient, steps, "before", rate, **dict(dict(scale=LR), **kwargs))


L2_IN_THE_LOSS = """\
w = weights()
loss = data_loss(w) + RATE * tf.nn.l2_loss(w)
train_op = tf.train.AdamOptimizer(LR).minimize(loss)
"""
IN_THE_COLLECTION = """\
w = weights(regularizer=l2())
train_op = tf.train.AdamOptimizer(LR).minimize(data_loss(w))
"""
