# A learning rate that is multiplied is no weight decay.
import tensorflow as tf

lr = tf.Variable(0.1, trainable=False)
lr_decay_op = lr.assign(lr * (1 - 0.01))
train_op = tf.train.MomentumOptimizer(lr, 0.9).minimize(loss)
