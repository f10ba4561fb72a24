"""How each example is started for a few steps, what its header says, and which weights it leaves."""

from __future__ import annotations

import ast
import fnmatch
import os
import pickle
import re
from typing import NamedTuple

import numpy as np

from support.paths import ROOT

EXAMPLES = str(ROOT / "legacy_examples")
# what helps an optimizer, a batch norm or a loop, and is no weight
_HELPERS = re.compile(
    r"(Adam(_\d)?|adam_[mv]|Momentum|RMSProp(_\d)?|beta\d_power(_\d)?|moving_(mean|variance)|global_step|avg"
    r"|ExponentialMovingAverage)$"
)


class Script(NamedTuple):
    """start, end: a checkpoint, an .npz file, or FILE.pkl:KEY, relative to the directory of the run."""

    name: str
    arguments: tuple
    start: str
    end: str

    @property
    def path(self):
        return os.path.join(EXAMPLES, self.name + ".py")


SCRIPTS = {
    name: Script(name, arguments, start, end)
    for name, arguments, start, end in (
        ("slim_queue_train", ("--train_dir=out",), "out/init.ckpt", "out/model.ckpt-5"),
        ("tf_layers_cnn", ("--logdir=out",), "out/model-0", "out/model-5"),
        ("lazy_property_mlp", ("--out=out.npz",), "out_init.npz", "out.npz"),
        ("cifar_train", ("--train_dir=out",), "out/model.ckpt-0", "out/model.ckpt-5"),
        ("cifar10_tutorial", ("--train_dir=out",), "out/model.ckpt-0", "out/model.ckpt-5"),
        ("cifar_multi_gpu_train", ("--train_dir=out",), "out/model.ckpt-0", "out/model.ckpt-5"),
        ("estimator_resnet", ("--model_dir=out",), "out/model.ckpt-0", "out/model.ckpt-5"),
        ("text_cnn", ("--out_dir=out",), "out/model-0", "out/model-5"),
        ("three_optimizers", ("--snapshot-dir=out",), "out/model.ckpt-0", "out/model.ckpt-5"),
        ("gan", ("--out=out",), "out/first.npz", "out/last.npz"),
        ("bert_style_adamw", ("--output_dir=out",), "out/model.ckpt-0", "out/model.ckpt-5"),
        ("pasted_snippet", ("--save_path=out/w",), "out/w-0", "out/w-5"),
        ("forgotten_regularizers", ("--save=out.pkl",), "out.pkl:before", "out.pkl:after"),
        ("doubly_regularized", ("--logdir=out",), "out/start.npz", "out/end.npz"),
    )
}


def saved(directory, where):
    """{name: array} of all variables that a run has left."""
    path, _, key = os.path.join(directory, where).partition(".pkl:")
    if key:
        with open(path + ".pkl", "rb") as file:
            return pickle.load(file)[key]
    if path.endswith(".npz"):
        with np.load(path) as arrays:
            return dict(arrays)
    import tensorflow.compat.v1 as tf

    reader = tf.train.load_checkpoint(path)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def trainable(variables):
    return {name: value for name, value in variables.items() if not _HELPERS.search(name)}


class Row(NamedTuple):
    """rate: float or None. updated_by: the names of the optimizers, or "-"."""

    variables: str
    rate: object
    place: str
    updated_by: str


class Header(NamedTuple):
    rows: tuple
    findings: tuple

    def row(self, variable):
        """The one Row for a variable."""
        (row,) = [row for row in self.rows if fnmatch.fnmatchcase(variable, row.variables)]
        return row


def header(name):
    """What the docstring of an example expects of `tf1-wd audit`."""
    with open(SCRIPTS[name].path) as file:
        lines = ast.get_docstring(ast.parse(file.read())).splitlines()
    block = [line.strip() for line in lines[lines.index("What `tf1-wd audit` says:") + 1 :]]
    assert re.split(r" {2,}", block[0]) == ["variable", "rate", "place", "updated by"], block[0]
    *rows, findings = block[1:]
    rows = [re.split(r" {2,}", row) for row in rows]
    codes = findings[len("findings: ") :].split(", ")
    return Header(
        tuple(Row(name, None if rate == "-" else float(rate), place, by) for name, rate, place, by in rows),
        () if codes == ["none"] else tuple(codes),
    )
