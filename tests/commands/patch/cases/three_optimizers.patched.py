# One call of tf.gradients, three optimizers with their own learning rates.
import tensorflow as tf
import tf1_wd


def main():
    reduced_loss = tf.reduce_mean(loss) + tf.add_n(l2_losses)
    with tf.control_dependencies(update_ops):
        opt_conv = tf.train.MomentumOptimizer(learning_rate, momentum)
        opt_fc_w = tf.train.MomentumOptimizer(learning_rate * 10.0, momentum)

        with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
            grads = tf.gradients(reduced_loss, conv_trainable + fc_w_trainable)
            grads_conv = grads[:len(conv_trainable)]
            grads_fc_w = grads[len(conv_trainable):]

            train_op_conv = opt_conv.apply_gradients(zip(grads_conv, conv_trainable))
            train_op_fc_w = opt_fc_w.apply_gradients(zip(grads_fc_w, fc_w_trainable))

        train_op = tf.group(train_op_conv, train_op_fc_w)

    sess = tf.Session()
    sess.run(train_op)
