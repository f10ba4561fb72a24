# Two optimizers in two name scopes of a constructor: one scope around both; nothing of them is trained here.
import tensorflow as tf


class YoloTrain(object):
    def __init__(self):
        self.sess = tf.Session(config=tf.ConfigProto(allow_soft_placement=True))
        with tf.name_scope("define_first_stage_train"):
            first = [v for v in tf.trainable_variables() if 'sbbox' in v.op.name]
            first_optimizer = tf.train.AdamOptimizer(self.learn_rate).minimize(self.loss, var_list=first)
            with tf.control_dependencies([first_optimizer]):
                self.train_op_with_frozen_variables = tf.no_op()

        with tf.name_scope("define_second_stage_train"):
            second_optimizer = tf.train.AdamOptimizer(self.learn_rate).minimize(self.loss)
            with tf.control_dependencies([second_optimizer]):
                self.train_op_with_all_variables = tf.no_op()

        with tf.name_scope('summary'):
            self.write_op = tf.summary.merge_all()

    def train(self):
        self.sess.run(tf.global_variables_initializer())
