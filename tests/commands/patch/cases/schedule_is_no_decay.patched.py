# A learning rate that is multiplied is no weight decay.
import tensorflow as tf
import tf1_wd

lr = tf.Variable(0.1, trainable=False)
lr_decay_op = lr.assign(lr * (1 - 0.01))
with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
    train_op = tf.train.MomentumOptimizer(lr, 0.9).minimize(loss)
