# A constructor that may return before: the `with` goes around the update alone, with the clipping between.
import tensorflow as tf
import tf1_wd


class Model():
    def __init__(self, args, training=True):
        self.args = args
        self.cost = build_cost(args)
        if not training:
            return
        self.lr = tf.Variable(0.0, trainable=False)
        tvars = tf.trainable_variables()

        # calculate gradients
        with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
            grads, _ = tf.clip_by_global_norm(tf.gradients(self.cost, tvars),
                    args.grad_clip)
            with tf.name_scope('optimizer'):
                optimizer = tf.train.AdamOptimizer(self.lr)

            # apply gradient change to all the trainable variables.
            self.train_op = optimizer.apply_gradients(zip(grads, tvars))

        # instrument tensorboard
        tf.summary.scalar('train_loss', self.cost)
