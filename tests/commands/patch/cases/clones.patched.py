# Gradients from slim's model_deploy.
import tensorflow as tf
import tf1_wd

from deployment import model_deploy


def main(_):
    with tf.Graph().as_default():
        clones = model_deploy.create_clones(deploy_config, clone_fn, [batch_queue])
        # and returns a train_tensor and summary_op
        with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
            total_loss, clones_gradients = model_deploy.optimize_clones(
                clones,
                optimizer,
                var_list=variables_to_train)
            # Add total_loss to summary.
            summaries.add(tf.summary.scalar('total_loss', total_loss))

            # Create gradient updates.
            grad_updates = optimizer.apply_gradients(clones_gradients,
                                                     global_step=global_step)
        update_ops.append(grad_updates)
        update_op = tf.group(*update_ops)

        slim.learning.train(update_op, logdir=FLAGS.train_dir)
