# tf.contrib.layers.optimize_loss, and options of the call.
# options: --convention snippet --order before --rates conv=1e-3 --rates fc=5e-4
import tensorflow as tf


def head(loss, learning_rate):
    train_op = tf.contrib.layers.optimize_loss(
        loss=loss,
        global_step=tf.train.get_global_step(),
        learning_rate=learning_rate,
        optimizer="Adam",
        clip_gradients=5.0)
    return train_op, loss
