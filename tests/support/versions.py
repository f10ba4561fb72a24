"""Which TensorFlow runs the tests."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

IS_TF1 = tf.__version__.startswith("1.")
