# Indented by tabs, with a string of several lines inside of the wrapped statements.
import tensorflow as tf
import tf1_wd

def train(loss):
	opt = tf.train.AdamOptimizer(1e-3)
	with tf1_wd.decoupled_weight_decay(convention="adamw", source="loss"):
		gvs = opt.compute_gradients(loss)
		note = """clipped
by value"""
		gvs = [(tf.clip_by_value(g, -1., 1.), v)	# as in the paper
			for g, v in gvs]
		op = opt.apply_gradients(gvs)
	sess = tf.Session()
	sess.run(op)
