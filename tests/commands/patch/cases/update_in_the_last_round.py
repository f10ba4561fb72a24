# refused: the update is built under a condition or in a loop
import tensorflow as tf

opt = tf.train.AdamOptimizer(1e-3)
tower_grads = []
for i in range(FLAGS.num_gpus):
    with tf.device('/gpu:%d' % i):
        tower_grads.append(opt.compute_gradients(tower_loss(i)))
        if i == FLAGS.num_gpus - 1:
            train_op = opt.apply_gradients(average_gradients(tower_grads))
