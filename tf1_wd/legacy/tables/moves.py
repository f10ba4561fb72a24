"""Names that TF1 code uses and later TensorFlow moved, and modules that it took away. Imports no TensorFlow."""

from __future__ import annotations

from typing import NamedTuple


class Move(NamedTuple):
    """What code expects as `old` is now `new`, "module:name" or a whole "module"; `since` names the first release."""

    old: str
    new: str
    since: str
    note: str = ""


def area(package, *groups, since="2.0"):
    """The moves of one package.

    groups: (home, "name other old=new", note): `package.name` is now `home:name`, `package.old` is `home:new`. A home
    is a module, or "module:attribute" of one. The note may be left out.
    """
    found = []
    for home, names, *note in groups:
        for word in names.split():
            old, _, new = word.partition("=")
            found.append(
                Move("%s.%s" % (package, old), home + ("." if ":" in home else ":") + (new or old), since, *note)
            )
    return tuple(found)


def modules(*pairs, since="2.0"):
    """Moves of whole modules: (old, new)."""
    return tuple(Move(old, new, since) for old, new in pairs)


class Gone(NamedTuple):
    """`module` is gone without a successor; without it there is no `what`."""

    module: str
    what: str


# What tensorflow-estimator 2.15.0 imports. All are there in 1.15.5 and 2.15.1, and gone in 2.21.0.
GONE = (
    Gone("tensorflow.python.distribute.estimator_training", "distribution strategy in tf.estimator"),
    Gone("tensorflow.python.tpu.session_support", "TPUEstimator"),
    Gone("tensorflow.python.tpu.tpu_embedding", "embedding of TPUEstimator"),
    Gone("tensorflow.python.tpu.tpu_embedding_gradient", "embedding of TPUEstimator"),
)
