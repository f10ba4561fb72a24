# refused: gradients are summed up in variables
import tensorflow as tf

opt = tf.train.MomentumOptimizer(0.1, 0.9)
accum = [tf.Variable(tf.zeros_like(v.initialized_value()), trainable=False) for v in tf.trainable_variables()]
gvs = opt.compute_gradients(loss)
accum_ops = [accum[i].assign_add(gv[0]) for i, gv in enumerate(gvs)]
train_op = opt.apply_gradients([(accum[i], v) for i, v in enumerate(tf.trainable_variables())])
