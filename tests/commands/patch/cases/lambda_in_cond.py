# A lambda that is handed to a call runs there: the statement is wrapped.
import tensorflow as tf

gvs = opt.compute_gradients(loss)
train_op = tf.cond(is_finite, lambda: opt.apply_gradients(gvs), lambda: tf.no_op())
