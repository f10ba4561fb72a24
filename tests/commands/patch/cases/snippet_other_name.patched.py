# The snippet under a name of its own: the name stays, for those who fetch it. The asked convention wins.
# options: --convention adamw
import tensorflow as tf
import tf1_wd


@tf1_wd.decoupled_weight_decay(convention="adamw", source="collection")
def build(loss):
    train_op = tf.train.AdamOptimizer(1e-3).minimize(loss)
    # weight decay
    decay_op = train_op
    return decay_op
