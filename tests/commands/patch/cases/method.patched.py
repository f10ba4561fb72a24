# A method _build_train_op of a model class; two-space indentation.
import tensorflow as tf
import tf1_wd


class ResNet(object):
  """Residual network."""

  def __init__(self, hps, images, labels):
    self.hps = hps
    self._build_model(images, labels)
    self._build_train_op()

  def _build_model(self, images, labels):
    logits = tf.layers.dense(images, 10)
    self.cost = tf.losses.sparse_softmax_cross_entropy(labels, logits) + self._decay()

  @tf1_wd.decoupled_weight_decay(convention="adamw", source="loss")
  def _build_train_op(self):
    """Build training specific ops for the graph."""
    self.lrn_rate = tf.constant(self.hps.lrn_rate, tf.float32)
    trainable_variables = tf.trainable_variables()
    grads = tf.gradients(self.cost, trainable_variables)

    if self.hps.optimizer == 'sgd':
      optimizer = tf.train.GradientDescentOptimizer(self.lrn_rate)
    elif self.hps.optimizer == 'mom':
      optimizer = tf.train.MomentumOptimizer(self.lrn_rate, 0.9)

    apply_op = optimizer.apply_gradients(
        zip(grads, trainable_variables),
        global_step=self.global_step, name='train_step')
    train_ops = [apply_op] + self._extra_train_ops
    self.train_op = tf.group(*train_ops)

  def _decay(self):
    costs = [tf.nn.l2_loss(v) for v in tf.trainable_variables() if 'DW' in v.op.name]
    return tf.multiply(self.hps.weight_decay_rate, tf.add_n(costs))
