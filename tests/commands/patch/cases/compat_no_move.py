# options: --to-compat-v1
# refused: `tf.contrib.crf.crf_log_likelihood` has no move
import tensorflow as tf

log_likelihood, transitions = tf.contrib.crf.crf_log_likelihood(logits, labels, lengths)
train_op = tf.train.AdamOptimizer(1e-3).minimize(tf.reduce_mean(-log_likelihood))
