# Gradients under control_dependencies, their update behind it.
import tensorflow as tf
import tf1_wd


def train(total_loss, global_step, optimizer, learning_rate, update_gradient_vars):
    loss_averages_op = _add_loss_summaries(total_loss)

    # Compute gradients.
    with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
        with tf.control_dependencies([loss_averages_op]):
            if optimizer=='ADAGRAD':
                opt = tf.train.AdagradOptimizer(learning_rate)
            elif optimizer=='ADAM':
                opt = tf.train.AdamOptimizer(learning_rate, beta1=0.9, beta2=0.999, epsilon=0.1)
            else:
                raise ValueError('Invalid optimization algorithm')

            grads = opt.compute_gradients(total_loss, update_gradient_vars)

        # Apply gradients.
        apply_gradient_op = opt.apply_gradients(grads, global_step=global_step)

    # Add histograms for gradients.
    for grad, var in grads:
        if grad is not None:
            tf.summary.histogram(var.op.name + '/gradients', grad)

    with tf.control_dependencies([apply_gradient_op]):
        train_op = tf.no_op(name='train')
    return train_op
