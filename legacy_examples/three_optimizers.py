"""Training script in the manner of the DeepLab code: the last layers learn faster, their biases fastest.

Fine-tuned classifiers want a higher learning rate on what is new. Three momentum optimizers share one call of
tf.gradients.

What `tf1-wd audit` says:
    variable         rate  place  updated by
    conv1/weights    0.02  loss   MomentumOptimizer
    conv1/biases     -     -      MomentumOptimizer
    conv2/weights    0.02  loss   MomentumOptimizer
    conv2/biases     -     -      MomentumOptimizer
    fc*/weights      0.02  loss   MomentumOptimizer
    fc*/biases       -     -      MomentumOptimizer
    findings: none
"""

from __future__ import print_function

import argparse
import os
import time

import tensorflow as tf
import numpy as np

BATCH_SIZE = 40
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data', 'optical_digits.npz')
LEARNING_RATE = 5e-3
MOMENTUM = 0.9
NUM_STEPS = 1000
POWER = 0.9
RANDOM_SEED = 1234
SAVE_PRED_EVERY = 100
SNAPSHOT_DIR = './snapshots/'
WEIGHT_DECAY = 0.02


def get_arguments():
    """Parse all the arguments provided from the CLI.

    Returns:
      A list of parsed arguments.
    """
    parser = argparse.ArgumentParser(description="Network with three learning rates")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE,
                        help="Number of images sent to the network in one step.")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE,
                        help="Base learning rate for training with polynomial decay.")
    parser.add_argument("--momentum", type=float, default=MOMENTUM,
                        help="Momentum component of the optimiser.")
    parser.add_argument("--steps", type=int, default=NUM_STEPS,
                        help="Number of training steps.")
    parser.add_argument("--power", type=float, default=POWER,
                        help="Decay parameter to compute the learning rate.")
    parser.add_argument("--random-seed", type=int, default=RANDOM_SEED,
                        help="Random seed to have reproducible results.")
    parser.add_argument("--snapshot-dir", type=str, default=SNAPSHOT_DIR,
                        help="Where to save snapshots of the model.")
    parser.add_argument("--weight-decay", type=float, default=WEIGHT_DECAY,
                        help="Regularisation parameter for L2-loss.")
    return parser.parse_args()


def layer(op):
    """Decorator for composable network layers."""
    def layer_decorated(self, *args, **kwargs):
        self.terminals = op(self, self.terminals, *args, **kwargs)
        return self
    return layer_decorated


class Network(object):

    def __init__(self, inputs):
        self.terminals = inputs
        self.setup()

    def setup(self):
        (self.conv(3, 8, name='conv1')
             .max_pool()
             .conv(3, 12, name='conv2')
             .max_pool()
             .fc(20, name='fc3')
             .fc(10, relu=False, name='fc4'))

    def make_var(self, name, shape):
        """Creates a new TensorFlow variable."""
        if name == 'biases':
            return tf.get_variable(name, shape, initializer=tf.constant_initializer(0.05))
        return tf.get_variable(name, shape, initializer=tf.truncated_normal_initializer(stddev=0.15))

    @layer
    def conv(self, x, k, c_o, name):
        with tf.variable_scope(name):
            kernel = self.make_var('weights', [k, k, x.get_shape()[-1].value, c_o])
            biases = self.make_var('biases', [c_o])
            return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, [1, 1, 1, 1], padding='SAME'), biases))

    @layer
    def max_pool(self, x):
        return tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], padding='SAME')

    @layer
    def fc(self, x, num_out, name, relu=True):
        with tf.variable_scope(name):
            x = tf.reshape(x, [-1, int(np.prod(x.get_shape().as_list()[1:]))])
            weights = self.make_var('weights', [x.get_shape()[-1].value, num_out])
            biases = self.make_var('biases', [num_out])
            op = tf.nn.relu_layer if relu else tf.nn.xw_plus_b
            return op(x, weights, biases)


def save(saver, sess, logdir, step):
    if not os.path.exists(logdir):
        os.makedirs(logdir)
    saver.save(sess, os.path.join(logdir, 'model.ckpt'), global_step=step)
    print('The checkpoint has been created.')


def main():
    """Create the model and start the training."""
    args = get_arguments()
    tf.set_random_seed(args.random_seed)
    rng = np.random.RandomState(args.random_seed)

    data = np.load(DATA)
    images = data['images'][..., np.newaxis] / np.float32(16)
    labels = data['labels']

    image_batch = tf.placeholder(tf.float32, [args.batch_size, 8, 8, 1])
    label_batch = tf.placeholder(tf.int32, [args.batch_size])

    # Create network.
    net = Network(image_batch)
    raw_output = net.terminals

    # Which variables get which learning rate. Weights of all layers are decayed.
    all_trainable = tf.trainable_variables()
    fc_trainable = [v for v in all_trainable if 'fc' in v.name]
    conv_trainable = [v for v in all_trainable if 'fc' not in v.name]  # lr * 1.0
    fc_w_trainable = [v for v in fc_trainable if 'weights' in v.name]  # lr * 10.0
    fc_b_trainable = [v for v in fc_trainable if 'biases' in v.name]  # lr * 20.0
    assert len(all_trainable) == len(fc_trainable) + len(conv_trainable)
    assert len(fc_trainable) == len(fc_w_trainable) + len(fc_b_trainable)

    # Pixel-wise softmax loss.
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=raw_output, labels=label_batch)
    l2_losses = [args.weight_decay * tf.nn.l2_loss(v) for v in tf.trainable_variables() if 'weights' in v.name]
    reduced_loss = tf.reduce_mean(loss) + tf.add_n(l2_losses)

    # Define loss and optimisation parameters.
    base_lr = tf.constant(args.learning_rate)
    step_ph = tf.placeholder(dtype=tf.float32, shape=())
    learning_rate = tf.scalar_mul(base_lr, tf.pow((1 - step_ph / NUM_STEPS), args.power))

    opt_conv = tf.train.MomentumOptimizer(learning_rate, args.momentum)
    opt_fc_w = tf.train.MomentumOptimizer(learning_rate * 10.0, args.momentum)
    opt_fc_b = tf.train.MomentumOptimizer(learning_rate * 20.0, args.momentum)

    grads = tf.gradients(reduced_loss, conv_trainable + fc_w_trainable + fc_b_trainable, gate_gradients=True)
    grads_conv = grads[:len(conv_trainable)]
    grads_fc_w = grads[len(conv_trainable): (len(conv_trainable) + len(fc_w_trainable))]
    grads_fc_b = grads[(len(conv_trainable) + len(fc_w_trainable)):]

    train_op_conv = opt_conv.apply_gradients(zip(grads_conv, conv_trainable))
    train_op_fc_w = opt_fc_w.apply_gradients(zip(grads_fc_w, fc_w_trainable))
    train_op_fc_b = opt_fc_b.apply_gradients(zip(grads_fc_b, fc_b_trainable))

    train_op = tf.group(train_op_conv, train_op_fc_w, train_op_fc_b)

    # Set up tf session and initialize variables.
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True
    sess = tf.Session(config=config)
    sess.run(tf.global_variables_initializer())

    saver = tf.train.Saver(var_list=tf.global_variables(), max_to_keep=10)
    save(saver, sess, args.snapshot_dir, 0)

    # Iterate over training steps.
    for step in range(args.steps):
        start_time = time.time()
        batch = rng.choice(len(labels), args.batch_size, replace=False)
        feed_dict = {step_ph: step % NUM_STEPS, image_batch: images[batch], label_batch: labels[batch]}
        loss_value, _ = sess.run([reduced_loss, train_op], feed_dict=feed_dict)
        duration = time.time() - start_time
        if step % SAVE_PRED_EVERY == 0:
            print('step {:d} \t loss = {:.3f}, ({:.3f} sec/step)'.format(step, loss_value, duration))
    save(saver, sess, args.snapshot_dir, args.steps)


if __name__ == '__main__':
    main()
