"""The Keras that a script of this folder is asked for, in its mode: the first argument of the command line.

"graph" and "eager" are tf.keras, or tf-keras; "keras3" is Keras 3, eager, and "keras3 graph" the same in graph mode.
"""

from __future__ import annotations

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
if sys.argv[1].startswith("keras3"):
    os.environ.pop("TF_USE_LEGACY_KERAS", None)

import tensorflow as tf

MODE = sys.argv[1]
IN_GRAPHS = MODE.endswith("graph")
v1 = tf.compat.v1
v1.logging.set_verbosity(v1.logging.ERROR)
if IN_GRAPHS:
    v1.disable_v2_behavior()

K = tf.keras
Of = getattr(K.optimizers, "legacy", K.optimizers) if MODE == "graph" else K.optimizers  # graph mode has these alone
