# options: --exclude BatchNorm --exclude bias
# slim: create_train_op in main(), slim's loop behind it.
import tensorflow as tf

slim = tf.contrib.slim


def main(_):
    with tf.Graph().as_default():
        images, labels = load_batch()
        with slim.arg_scope([slim.conv2d], weights_regularizer=slim.l2_regularizer(5e-4)):
            logits = network(images)
        slim.losses.softmax_cross_entropy(logits, labels)
        total_loss = slim.losses.get_total_loss()
        optimizer = tf.train.RMSPropOptimizer(0.01)

        train_op = slim.learning.create_train_op(total_loss, optimizer, clip_gradient_norm=4)

        slim.learning.train(train_op, '/tmp/logs', number_of_steps=1000)


if __name__ == '__main__':
    tf.app.run()
