"""Which TensorFlow runs the tests."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

IS_TF1 = tf.__version__.startswith("1.")

# releases in `since` of a tf1_wd.legacy table that took a name away before 1.15, so that it is not there either
BEFORE_1_15 = ("1.2", "1.5", "1.13", "1.14", "1.15")
