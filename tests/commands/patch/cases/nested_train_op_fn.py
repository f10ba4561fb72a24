# A head of tf.estimator calls a function of the model_fn, which is decorated itself.
import tensorflow as tf


def make_model_fn(head, learning_rate):
    def model_fn(features, labels, mode):
        logits = tf.layers.dense(features["x"], 1)

        def _train_op_fn(loss):
            optimizer = tf.train.FtrlOptimizer(learning_rate)
            return optimizer.minimize(loss, global_step=tf.train.get_global_step())

        return head.create_estimator_spec(features, mode, logits, labels=labels, train_op_fn=_train_op_fn)

    return model_fn
