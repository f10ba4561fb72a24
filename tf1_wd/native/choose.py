"""Which implementation decays a group of variables, the compiled op or its twin, and why."""

from __future__ import annotations

import warnings
from typing import Any, Sequence

from tf1_wd._tf import tf
from tf1_wd.errors import NativeOpError, NativeOpWarning
from tf1_wd.native import loader
from tf1_wd.native.twin import eager_name

_warned = False


def native_ops_for(variables: Sequence[tf.Variable], backend: str) -> Any:
    """The module of the compiled ops; None where the twin is to decay the variables.

    Warns, once, where "auto" takes the twin. Raises NativeOpError where "native" cannot be had.
    """
    if backend == "tensorflow":
        return None
    if backend == "native":
        for variable in variables:
            if not _has_kernel(variable):
                raise NativeOpError(
                    'variable %s is on %s; the native op runs on CPUs and GPUs: put it there, or drop backend="native"'
                    % (eager_name(variable), variable.device),
                    variable=eager_name(variable),
                )
        ops, problem = loader.native_ops(), _gpu_problem(variables)
        if problem:
            name = eager_name(variables[0])
            raise NativeOpError("variable %s may be on a GPU: %s" % (name, problem), variable=name, reason=problem)
        return ops
    served = [variable for variable in variables if is_served(variable)]
    if served:
        _warn_once(
            "variable %s is on %s, and that process need not have the compiled op. To use it, call "
            'tf1_wd.load_native_op() in every process that holds variables, pass backend="native", and let '
            "tf1_wd.check_servers(target) make sure" % (eager_name(served[0]), served[0].device)
        )
        return None
    if not all(map(_has_kernel, variables)):
        return None
    current = loader.status()
    problem = _gpu_problem(variables) if current.state == "native" else current.reason
    if not problem:
        return loader.native_ops()
    _warn_once("%s. `tf1-wd doctor` tells more" % problem)
    return None


def _has_kernel(variable: tf.Variable) -> bool:
    return _device_type(variable) in (None, "CPU", "GPU")


def _gpu_problem(variables: Sequence[tf.Variable]) -> str | None:
    """Why the native op cannot decay them on a GPU that TensorFlow sees; None if it can, or there is none."""
    may_be_there = any(_device_type(variable) != "CPU" for variable in variables)
    return loader.gpu_problem() if may_be_there and loader.gpu_visible() else None


def _device_type(variable: tf.Variable) -> str | None:
    return tf.DeviceSpec.from_string(variable.device or "").device_type


def is_served(variable: tf.Variable) -> bool:
    """True for a variable on the device of a job, which other processes may hold, or change."""
    return tf.DeviceSpec.from_string(variable.device or "").job not in (None, "localhost")


def _warn_once(reason: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "weight decay runs on public TensorFlow ops, with the same results but slower: %s; "
            'backend="tensorflow" silences this' % reason,
            NativeOpWarning,
            stacklevel=4,
        )
