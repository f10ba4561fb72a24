# An Estimator's model_fn is decorated: what it returns for evaluation has no train_op, and the scope knows.
import tensorflow as tf
import tf1_wd


@tf1_wd.decoupled_weight_decay(convention="adamw", source="loss")
def model_fn(features, labels, mode, params):
    logits = tf.layers.dense(features["x"], 10)
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions={"logits": logits})

    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    loss += params["wd"] * tf.add_n([tf.nn.l2_loss(v) for v in tf.trainable_variables()])
    train_op = None
    if mode == tf.estimator.ModeKeys.TRAIN:
        optimizer = tf.train.AdamOptimizer(params["lr"])
        update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        with tf.control_dependencies(update_ops):
            train_op = optimizer.minimize(loss, tf.train.get_global_step())
    return tf.estimator.EstimatorSpec(mode=mode, loss=loss, train_op=train_op)
