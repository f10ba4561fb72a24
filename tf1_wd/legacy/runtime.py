"""Makes TF1 code run on TensorFlow 2: graph mode, tf.contrib, tf.estimator, Keras 2, names that moved; reversible."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys

from tf1_wd.errors import KerasChosenError, MissingPackageError
from tf1_wd.legacy.imports.alias_finder import find_by, import_or_none
from tf1_wd.legacy.imports.contrib_finder import load, put_contrib
from tf1_wd.legacy.imports.keras_finder import put_keras
from tf1_wd.legacy.imports.tensorflow_facade import put_facade
from tf1_wd.legacy.repairs.estimator import put_back
from tf1_wd.legacy.repairs.gone_modules import put_gone
from tf1_wd.legacy.repairs.missing_packages import Missing, put_missing_keras
from tf1_wd.legacy.repairs.numpy_scipy import put_others
from tf1_wd.legacy.repairs.tf_data import put_counts
from tf1_wd.legacy.repairs.v1_behavior import put_behavior
from tf1_wd.legacy.tables.core import MODULES, ROWS

_SWITCH = "TF_USE_LEGACY_KERAS"

# slim.batch_norm takes its layer from this attribute, a lazy module with a target that is nowhere (2.15.1, 2.21.0)
_NORMALIZATION = ("tensorflow.python.layers.normalization", "normalization")
_BROKEN_TARGET = "tf_keras.legacy_tf_layers.normalization"


def install():
    """Makes TensorFlow 2 look like TensorFlow 1 to the code that runs from here on.

    - `import tensorflow as tf` gives the names of tf.compat.v1 in graph mode (v2 behavior is disabled); a name that v1
      lacks is TensorFlow 2's.
    - `tensorflow.contrib` can be imported in every spelling (docs/guide/legacy.md lists what is there). A name without
      a stand-in is a NoStandInError, an AttributeError, where it is used; imported by name, it is an ImportError.
    - tf.layers, tf.nn.rnn_cell and `import keras` are Keras 2's, where tf-keras is installed. Where
      tensorflow-estimator is (`pip install tensorflow-estimator==2.15.0` leaves TensorFlow as it is), tf.estimator is
      back too; TPUs and distribution strategies in it are not. All are imported when they are asked for.
    - names of tensorflow.python that moved are at their old place too; so is what NumPy took away.

    Call it before TensorFlow is imported. It imports TensorFlow itself. On TF 1.15 it changes nothing, but that
    `import keras` gives tf.keras where no Keras is. A second call changes nothing, and nor does its end.

    close() takes everything back, but for modules that hold the names already, and, where the default graph was used
    meanwhile, v2 behavior: TensorFlow does not go back to eager execution then.

    Returns: a contextlib.ExitStack; its close() takes everything back. Also a context manager.

    Raises: KerasChosenError, if the program has taken something from Keras 3 already.
    """
    with contextlib.ExitStack() as stack:
        if _SWITCH not in os.environ and importlib.util.find_spec("tf_keras") is not None:
            _refuse_keras_3()
            os.environ[_SWITCH] = "1"
            stack.callback(os.environ.pop, _SWITCH, None)
        tensorflow = _import_tensorflow()
        if tensorflow.__version__.startswith("1."):
            if importlib.util.find_spec("keras") is None:
                put_keras("tensorflow.python.keras", stack, last=True)
            return stack.pop_all()
        for owner, name, value in _missing():
            setattr(owner, name, value)
            stack.callback(delattr, owner, name)
        _repair_normalization(stack)
        put_gone(stack)
        put_back(stack)
        put_behavior(stack)
        put_others(stack)
        put_counts(stack)
        if importlib.util.find_spec("tensorflow.contrib") is None:
            put_contrib(stack)
            # first: a package's path would find its modules a second time, under their old names
            find_by(_resolver_of_modules(), stack)
        put_facade(stack)
        if _is_keras_2_there():
            source = _keras_source()
            # TensorFlow 2.6 to 2.12 imports its own Keras under these names: only those that it lacks are ours there
            put_keras(source, stack, last=source == "keras")
        elif importlib.util.find_spec("tf_keras") is None:
            put_missing_keras(stack)
        return stack.pop_all()


def _import_tensorflow():
    try:
        return importlib.import_module("tensorflow")
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise MissingPackageError.of("tf1_wd", "tensorflow") from None


def _refuse_keras_3():
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return
    v1 = tensorflow.compat.v1
    for module in (tensorflow.keras, v1.keras, v1.layers, v1.nn.rnn_cell):
        # vars, because a lazy module makes its choice when asked for an attribute
        if str(vars(module).get("__name__")).startswith("keras._tf_keras"):
            raise KerasChosenError(
                "Keras 3 is in use already, and TF1 code needs Keras 2 (tf-keras): call tf1_wd.legacy.install() before "
                "TensorFlow is imported, or set %s=1" % _SWITCH
            )


def _missing():
    """(owner, name, value) of each moved name that this TensorFlow lacks."""
    for row in ROWS:
        module, _, name = row.old.rpartition(".")
        owner = importlib.import_module(module)
        if not hasattr(owner, name):
            yield owner, name, load(row)


def _resolver_of_modules():
    """Resolves the old names of modules that moved, but for those that are there."""
    homes = {old: new for old, new in MODULES.items() if not _is_there(old)}

    def resolve(name):
        if name not in homes:
            return None
        package = homes[name].partition(".")[0]
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError.of(name, package)
        return import_or_none(homes[name])

    return resolve


def _is_there(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor is its package
        return False


def _repair_normalization(stack):
    module, name = _NORMALIZATION
    owner = importlib.import_module(module)
    broken = vars(owner).get(name)
    if getattr(broken, "__name__", None) != _BROKEN_TARGET:
        return
    from tensorflow.python.util.lazy_loader import LazyLoader  # lazy as before: Keras takes a second to import

    lazy = LazyLoader(name, vars(owner), "%s.src.legacy_tf_layers.normalization" % _keras_2())
    is_missing = not _is_before_keras_3() and importlib.util.find_spec("tf_keras") is None
    setattr(owner, name, Missing("tensorflow.layers", "tf_keras") if is_missing else lazy)
    stack.callback(setattr, owner, name, broken)


def _is_keras_2_there():
    if _is_before_keras_3():
        return True
    return os.environ.get(_SWITCH) == "1" and importlib.util.find_spec("tf_keras") is not None


def _is_before_keras_3():
    return _release() < (2, 16)


def _release():
    from tensorflow import __version__ as version

    return tuple(map(int, version.split(".")[:2]))


def _keras_2():
    """Where Keras 2 is: in tf-keras, which TF 2.15 and before need not have."""
    return "keras" if _is_before_keras_3() and importlib.util.find_spec("tf_keras") is None else "tf_keras"


def _keras_source():
    """The package of Keras 2's own source."""
    if _release() < (2, 6):
        return "tensorflow.python.keras"
    return "keras" if _release() < (2, 13) else _keras_2() + ".src"
