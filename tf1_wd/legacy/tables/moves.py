"""Names that TF1 code uses and later TensorFlow moved, and modules that it took away. Imports no TensorFlow."""

from __future__ import annotations

import re
from typing import NamedTuple

_HOMES = {"v1": "tensorflow.compat.v1", "ours": "tf1_wd.legacy.standins"}


class Move(NamedTuple):
    """What code expects as `old` is now `new`, "module:name" or a whole "module"; `since` names the first release."""

    old: str
    new: str
    since: str


def rows(table):
    """The moves of a table in words.

    A package opens a line, with `since` and the release if that is not 2.0. Lines below it, indented, give a home and
    names: `package.name` is now home + "name", and after `old=new` `package.old` is home + "new". The names of a home
    that ends in ":" are those of that module; where a home without ":" ends in ".", they are modules below it.
    """
    found = []
    for line in table.splitlines():
        words = line.partition("#")[0].split()
        if words and not line.startswith(" "):
            package, since = words[0], " ".join(words[2:]) or "2.0"
            continue
        for word in words:
            if word.endswith((":", ".")):
                home = re.sub(r"^(v1|ours)\b", lambda short: _HOMES[short.group()], word)
            else:
                old, _, new = word.partition("=")
                found.append(Move("%s.%s" % (package, old), home + (new or old), since))
    return tuple(found)


class Gone(NamedTuple):
    """`module` is gone without a successor; without it there is no `what`. `release` still has it."""

    module: str
    what: str
    release: str


GONE = (
    # what tensorflow-estimator 2.15.0 imports
    Gone("tensorflow.python.distribute.estimator_training", "distribution strategy in tf.estimator", "2.15"),
    Gone("tensorflow.python.tpu.session_support", "TPUEstimator", "2.15"),
    Gone("tensorflow.python.tpu.tpu_embedding", "embedding of TPUEstimator", "2.15"),
    Gone("tensorflow.python.tpu.tpu_embedding_gradient", "embedding of TPUEstimator", "2.15"),
    # what programs import
    Gone("tensorflow.python.data.experimental.ops.optimization", "optimization of a data set by name", "1.15"),
    Gone("tensorflow.python.data.experimental.ops.stats_aggregator", "statistics of tf.data", "1.15"),
    Gone("tensorflow.python.data.experimental.ops.stats_ops", "statistics of tf.data", "1.15"),
    Gone("tensorflow.python.eager.execution_callbacks", "callback of eager execution", "1.15"),
    Gone("tensorflow.python.eager.profiler", "profiler of eager execution", "2.15"),
)
