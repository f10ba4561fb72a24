# Gradients summed up in variables: the rates are given.
# options: --rates 1e-4
import tensorflow as tf
import tf1_wd

opt = tf.train.MomentumOptimizer(0.1, 0.9)
trainable = tf.trainable_variables()
accum_grads = [tf.Variable(tf.zeros_like(v.initialized_value()), trainable=False) for v in trainable]
with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss", rates=0.0001):
    grads = tf.gradients(loss, trainable)
    accum_grads_op = [accum_grads[i].assign_add(grad / 4) for i, grad in enumerate(grads)]
    train_op = opt.apply_gradients(zip(accum_grads, trainable))
