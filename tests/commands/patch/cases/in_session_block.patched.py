# Built in the block of the session: the loop stays outside.
import tensorflow as tf
import tf1_wd


def run(config):
    with tf.Session() as sess:
        model = Model(config)
        optimizer = tf.train.AdamOptimizer(config.lr)
        with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
            grads_and_vars = optimizer.compute_gradients(model.loss)
            train_op = optimizer.apply_gradients(grads_and_vars, global_step=model.step)

        # Keep track of gradient values (optional)
        for g, v in grads_and_vars:
            if g is not None:
                tf.summary.histogram("{}/grad/hist".format(v.name), g)

        sess.run(tf.global_variables_initializer())
        for batch in batches:
            sess.run(train_op, feed_dict={model.x: batch})
