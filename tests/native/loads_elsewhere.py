"""Loads an op that was compiled in one package of TensorFlow into another (tensorflow-gpu, tensorflow-cpu), and decays.

    python tests/native/loads_elsewhere.py libtf1_wd.so

Not a test by itself: .ci/run calls it with the Python of each package.
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def main(path):
    ops = tf.load_op_library(path)
    before = np.arange(100, dtype=np.float32)
    with tf.Graph().as_default(), tf.Session() as session, tf.device("/cpu:0"):
        reference = tf.get_variable("reference", initializer=before, use_resource=False)
        resource = tf.get_variable("resource", initializer=before, use_resource=True)
        steps = [
            ops.tf1_wd_decay([reference._ref()], 0.25, 0.5),
            ops.tf1_wd_resource_decay([resource.handle], 0.25, 0.5, T=tf.float32),
        ]
        session.run(tf.global_variables_initializer())
        session.run(steps)
        for after in session.run([reference, resource]):
            np.testing.assert_array_equal(after, before * 0.875)
    build = "with CUDA" if tf.test.is_built_with_cuda() else "without CUDA"
    print("TensorFlow %s, built %s: %s loads and decays" % (tf.__version__, build, path))


if __name__ == "__main__":
    main(sys.argv[1])
