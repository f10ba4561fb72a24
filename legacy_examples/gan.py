# A GAN that draws digits. Everything at the top level, no functions but the two nets.
"""Vanilla GAN on the optical digits; the discriminator has L2 on its weights, the generator has none.

What `tf1-wd audit` says:
    variable    rate  place  updated by
    D_W1        0.02  loss   AdamOptimizer
    D_b1        -     -      AdamOptimizer
    D_W2        0.02  loss   AdamOptimizer
    D_b2        -     -      AdamOptimizer
    G_W*        -     -      AdamOptimizer
    G_b*        -     -      AdamOptimizer
    findings: coupled
"""
import tensorflow as tf
import numpy as np
import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument('--steps', type=int, default=10000)
parser.add_argument('--out', default='out/')
parser.add_argument('--d_l2', type=float, default=0.02)
args = parser.parse_args()

mb_size = 64
Z_dim = 16
lr = 5e-3

np.random.seed(42)
tf.set_random_seed(42)

digits = np.load(os.path.join(os.path.dirname(os.path.realpath(__file__)), 'data/optical_digits.npz'))
data = digits['images'].reshape([-1, 64]) / 16.


def xavier_init(size):
    in_dim = size[0]
    xavier_stddev = 1. / tf.sqrt(in_dim / 2.)
    return tf.random_normal(shape=size, stddev=xavier_stddev)


X = tf.placeholder(tf.float32, shape=[None, 64])

D_W1 = tf.Variable(xavier_init([64, 32]), name='D_W1')
D_b1 = tf.Variable(tf.zeros(shape=[32]), name='D_b1')

D_W2 = tf.Variable(xavier_init([32, 1]), name='D_W2')
D_b2 = tf.Variable(tf.zeros(shape=[1]), name='D_b2')

theta_D = [D_W1, D_W2, D_b1, D_b2]


Z = tf.placeholder(tf.float32, shape=[None, Z_dim])

G_W1 = tf.Variable(xavier_init([Z_dim, 32]), name='G_W1')
G_b1 = tf.Variable(tf.zeros(shape=[32]), name='G_b1')

G_W2 = tf.Variable(xavier_init([32, 64]), name='G_W2')
G_b2 = tf.Variable(tf.zeros(shape=[64]), name='G_b2')

theta_G = [G_W1, G_W2, G_b1, G_b2]


def sample_Z(m, n):
    return np.random.uniform(-1., 1., size=[m, n])


def generator(z):
    G_h1 = tf.nn.relu(tf.matmul(z, G_W1) + G_b1)
    G_log_prob = tf.matmul(G_h1, G_W2) + G_b2
    G_prob = tf.nn.sigmoid(G_log_prob)

    return G_prob


def discriminator(x):
    D_h1 = tf.nn.tanh(tf.matmul(x, D_W1) + D_b1)
    D_logit = tf.matmul(D_h1, D_W2) + D_b2
    D_prob = tf.nn.sigmoid(D_logit)

    return D_prob, D_logit


G_sample = generator(Z)
D_real, D_logit_real = discriminator(X)
D_fake, D_logit_fake = discriminator(G_sample)

D_loss_real = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=D_logit_real, labels=tf.ones_like(D_logit_real)))
D_loss_fake = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=D_logit_fake, labels=tf.zeros_like(D_logit_fake)))
D_l2 = args.d_l2 * (tf.nn.l2_loss(D_W1) + tf.nn.l2_loss(D_W2))
D_loss = D_loss_real + D_loss_fake + D_l2
G_loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=D_logit_fake, labels=tf.ones_like(D_logit_fake)))

D_solver = tf.train.AdamOptimizer(lr, beta1=0.5, epsilon=1e-3).minimize(D_loss, var_list=theta_D)
G_solver = tf.train.AdamOptimizer(lr / 2, beta1=0.5, epsilon=1e-3).minimize(G_loss, var_list=theta_G)

sess = tf.Session()
sess.run(tf.global_variables_initializer())

if not os.path.exists(args.out):
    os.makedirs(args.out)

names = ['D_W1', 'D_W2', 'D_b1', 'D_b2', 'G_W1', 'G_W2', 'G_b1', 'G_b2']
np.savez(os.path.join(args.out, 'first.npz'), **dict(zip(names, sess.run(theta_D + theta_G))))

for it in range(args.steps):
    X_mb = data[np.random.randint(0, len(data), mb_size)]

    _, D_loss_curr = sess.run([D_solver, D_loss], feed_dict={X: X_mb, Z: sample_Z(mb_size, Z_dim)})
    _, G_loss_curr = sess.run([G_solver, G_loss], feed_dict={Z: sample_Z(mb_size, Z_dim)})

    if it % 1000 == 0:
        print('Iter: {}'.format(it))
        print('D loss: {:.4}'. format(D_loss_curr))
        print('G_loss: {:.4}'.format(G_loss_curr))
        print()

np.savez(os.path.join(args.out, 'last.npz'), **dict(zip(names, sess.run(theta_D + theta_G))))
samples = sess.run(G_sample, feed_dict={Z: sample_Z(16, Z_dim)})
np.save(os.path.join(args.out, 'samples.npy'), samples.reshape([16, 8, 8]))
