# A lambda that is handed to a call runs there: the statement is wrapped.
import tensorflow as tf
import tf1_wd

with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
    gvs = opt.compute_gradients(loss)
    train_op = tf.cond(is_finite, lambda: opt.apply_gradients(gvs), lambda: tf.no_op())
