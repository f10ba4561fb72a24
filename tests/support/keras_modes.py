"""How a model of Keras can be executed on this TensorFlow."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from support.versions import IS_TF1

MODES = ["graph"] if IS_TF1 else ["graph", "eager"]
if not tf.__version__.startswith(("1.", "2.15")):
    MODES.append("keras3")
EAGER = [mode for mode in MODES if mode != "graph"]
