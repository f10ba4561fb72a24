"""tf.estimator on TensorFlow 2.16 and later, where tensorflow-estimator 2.15.0 is installed; reversible."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from tf1_wd.legacy.repairs.missing_packages import Missing

# TensorFlow's module -> the module of tensorflow-estimator that was its attribute `estimator` up to 2.15
_HOMES = {
    "tensorflow": "tensorflow_estimator.python.estimator.api._v2.estimator",
    "tensorflow.compat.v1": "tensorflow_estimator.python.estimator.api._v1.estimator",
}


def put_back(stack):
    """Puts tf.estimator back. What it imports and TensorFlow no longer has must have its stand-ins already.

    It changes nothing where TensorFlow has tf.estimator. TensorFlow must be imported. stack: contextlib.ExitStack that
    takes everything back.
    """
    from tensorflow.python.util import tf_export

    if hasattr(tf_export, "ESTIMATOR_API_NAME"):
        return
    is_installed = importlib.util.find_spec("tensorflow_estimator") is not None
    if is_installed:
        _name_the_api(stack)
    # lazy as in 2.15: it imports Keras
    from tensorflow.python.util.lazy_loader import LazyLoader

    for name, home in _HOMES.items():
        owner: Any = importlib.import_module(name)  # compat.v1 is lazy
        if "estimator" not in vars(owner):
            lazy = LazyLoader("estimator", vars(owner), home)
            owner.estimator = lazy if is_installed else Missing("tensorflow.estimator", "tensorflow_estimator")
            stack.callback(delattr, owner, "estimator")


def _name_the_api(stack):
    """The name under which tensorflow-estimator registers its symbols.

    Private: tf_export.ESTIMATOR_API_NAME and the entries under it (they are there in 2.15.1, and not in 2.21.0).
    """
    from tensorflow.python.util import tf_export

    tf_export.ESTIMATOR_API_NAME = "estimator"
    stack.callback(delattr, tf_export, "ESTIMATOR_API_NAME")
    for table, version in ((tf_export.API_ATTRS, ""), (tf_export.API_ATTRS_V1, "_v1")):
        like = type(table[tf_export.TENSORFLOW_API_NAME])
        table["estimator"] = like("_estimator_api_names" + version, "_estimator_api_constants" + version)
        stack.callback(table.pop, "estimator")
