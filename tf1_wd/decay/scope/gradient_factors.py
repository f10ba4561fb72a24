"""What a program multiplied gradients by on their way to the optimizer, clipping left out: decay is never clipped."""

from __future__ import annotations

import contextlib
import math
from typing import Any, NamedTuple, Sequence

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.scope.gradient_sources import Upstream, is_scalar
from tf1_wd.errors import AmbiguousRateError
from tf1_wd.graph import op_types
from tf1_wd.graph.gradients import Scalar
from tf1_wd.graph.op_types import CLIPS, JOINS, LOOP_ENDS, PASSED_BY_FACTORS, REDUCTIONS, SUMS
from tf1_wd.graph.variables import size_of
from tf1_wd.penalties.coefficients import undelayed
from tf1_wd.penalties.gradient_call import Key

_DIVISIONS = op_types.DIVISIONS | {"Xdivy"}
_ALLREDUCES = frozenset(["HorovodAllreduce", "HorovodGroupedAllreduce"])
_ALLGATHERS = frozenset(["HorovodAllgather", "HorovodGroupedAllgather"])
_AVERAGE = 0  # reduce_op of Horovod's ops
# what people take a step of instead of the gradient, and exchanges with other processes that are not looked into
_STEPS = frozenset(["Sign", "Tanh", "Sigmoid", "Softsign", "PyFunc", "PyFuncStateless", "EagerPyFunc"])
_EXCHANGES = ("Collective", "Nccl")


class _Path(NamedTuple):
    """What raw gradients are multiplied by on the way to a tensor.

    factors: {key of a raw gradient: float or scalar tensor}. crossed: True if a non-linear op lies on the way.
    stacked: True if several raw gradients lie side by side in the tensor, to be reduced to their sum or mean.
    unknown: an op on the way of which it is not known whether it multiplies; None if there is none.
    """

    factors: dict[Key, Scalar]
    crossed: bool = False
    stacked: bool = False
    unknown: tf.Operation | None = None


def factors_of(
    applied: tf.Tensor, raw: Sequence[tf.Tensor], variable: tf.Operation, upstream: Upstream, is_sparse: bool = False
) -> list[Scalar]:
    """d applied / d raw[i] along scalar multiplications and sums, for each i: a float or a scalar tensor.

    A factor that depends on the gradient itself is a clip, and counts as 1, with the threshold it is made of. Scalars
    outside of a non-linear op, as in 0.1 * sign(g), are step sizes and count as 1 too. A gradient that is not reached
    counts 0.

    raw: what tf.gradients returned. upstream: of all calls of tf.gradients. is_sparse: True if applied are the values
    of tf.IndexedSlices, which are added up where they lie side by side.
    Raises AmbiguousRateError if a gradient goes through a variable or a loop, or if several are combined by an op that
    is not linear.
    """
    with undelayed(applied):
        path = _Walk(applied, raw, variable, upstream).path(applied)
    if path.stacked and not is_sparse:
        raise _ambiguous(variable.name, applied.op)
    return [path.factors.get(graph.key(r), 0.0) for r in raw]


class _Walk:
    """One walk from an applied gradient down to raw ones."""

    def __init__(
        self, applied: tf.Tensor, raw: Sequence[tf.Tensor], variable: tf.Operation, upstream: Upstream
    ) -> None:
        self._name = variable.name
        self._size = size_of(variable)
        self._raw = {graph.key(r) for r in raw}
        self._sources = frozenset(r.op for r in raw)
        self._upstream = upstream
        self._dependence: dict[tf.Operation, bool] = {op: True for op in self._sources}
        self._known: dict[Key, _Path] = {}
        self._applied = applied

    def _depends(self, tensor: tf.Tensor) -> bool:
        """True if a raw gradient goes into what makes a tensor."""
        if tensor.op not in self._dependence:
            self._explore(tensor.op)
        return self._dependence[tensor.op]

    def _explore(self, op: tf.Operation) -> None:
        """Finds out of `op` and what is behind it, up to scalars, whether they depend on the raw gradients."""
        ops: dict[tf.Operation, None] = {}
        pending = [op]
        while pending:
            op = pending.pop()
            if op in ops or op in self._dependence:
                continue
            ops[op] = None
            for tensor in graph.sources(op):
                if is_scalar(tensor) and len(tensor.op.outputs) == 1 and tensor.op not in ops:
                    if tensor.op not in self._dependence:
                        self._dependence[tensor.op] = self._scalar_depends(tensor)
                else:
                    pending.append(tensor.op)
        known = [t.op for op in ops for t in graph.sources(op) if self._dependence.get(t.op)]
        dependent = set(graph.between(known, [*ops, *dict.fromkeys(known)], inputs=graph.sources))
        self._dependence.update((op, op in dependent) for op in ops if op not in self._dependence)

    def _scalar_depends(self, scalar: tf.Tensor) -> bool:
        raw = self._upstream.of_scalar(scalar).raw
        if not raw or any(key in raw for key in self._raw):
            return bool(raw)
        # made of gradients by other variables, behind which those by this one may be
        return any(op in self._sources for op in graph.ancestors([scalar], self._sources, graph.sources))

    def path(self, tensor: tf.Tensor) -> _Path:
        key = graph.key(tensor)
        if key not in self._known:
            self._known[key] = self._path(tensor)
        return self._known[key]

    def _path(self, tensor: tf.Tensor) -> _Path:
        key, op = graph.key(tensor), tensor.op
        if key in self._raw:
            return _Path({key: 1.0})
        if "Assign" in op.type or op.type in LOOP_ENDS:
            raise AmbiguousRateError.of_gradient(
                self._name,
                "goes through a %s (%s); what its penalty's coefficient becomes on the way is not known. Pass the net "
                "rate of an update as rates=" % ("loop" if op.type in LOOP_ENDS else "variable", op.name),
            )
        inputs = [t for t in graph.sources(op) if t.dtype.is_floating and self._depends(t)]
        if not inputs:
            return _Path({})  # another output of an op that makes a raw gradient
        if op.type == "IdentityN":
            return self.path(op.inputs[tensor.value_index])
        if op.type == "Merge":
            return self._either([self.path(t) for t in inputs], op)
        if op.type == "RealDiv" and op.inputs[0].op.type in _ALLGATHERS:  # by the number of processes
            op, tensor = op.inputs[0].op, op.inputs[0]
        elif op.type.startswith("Horovod") and not (op.type in _ALLREDUCES and op.get_attr("reduce_op") == _AVERAGE):
            raise AmbiguousRateError(
                "gradients of %s are added up over processes (%s), and their number is not known. Pass the net rate of "
                "an update as rates=: as many times the rate that each of them has" % (self._name, op.name),
                variable=self._name,
            )
        if op.type.startswith("Horovod"):
            return self.path(op.inputs[tensor.value_index])
        if op.type in SUMS or graph.is_accumulator(op):
            path = self._sum([self.path(t) for t in inputs], op)
            return _times(path, 1.0 / len(graph.sources(op))) if graph.is_accumulator(op) else path
        if op.type not in JOINS and op.type != "Sub":  # a scalar beside the gradient is a scale
            inputs = [t for t in inputs if not is_scalar(t)] or [self._plainest(inputs)]
        paths = [self.path(t) for t in inputs]
        main = next((i for i, t in enumerate(inputs) if not is_scalar(t)), 0)
        path, several = paths[main], any(set(p.factors) - set(paths[main].factors) for p in paths)
        if op.type == "Sub" and (several or inputs[main] is op.inputs[1]):
            signs = [-1.0 if t is op.inputs[1] else 1.0 for t in inputs]
            if not several:
                return path if path.crossed else _times(path, signs[main])
            return self._sum([_times(p, sign) for p, sign in zip(paths, signs)], op)
        if several:
            if op.type in JOINS:
                return self._sum(paths, op)._replace(stacked=True)
            raise _ambiguous(self._name, op)
        n = inputs[main].shape.num_elements()
        if op.type in REDUCTIONS and n and tensor.shape.num_elements() == self._size:
            return _times(path, self._size / n if op.type == "Mean" else 1.0)._replace(stacked=False)
        if op.type == "Mul" or op.type in _DIVISIONS:
            return self._scaled(path, op, inputs[main])
        if op.type == "Neg":
            return path if path.crossed else _times(path, -1.0)
        if op.type in op_types.COPIES | {"Reshape", "Placeholder", "Sub"}:
            return path  # Sub: of a mean of the gradient, say
        if path.stacked:
            raise _ambiguous(self._name, op)
        if op.type in PASSED_BY_FACTORS | CLIPS:
            return path
        if op.type in _STEPS or op.type.startswith(_EXCHANGES):
            return path._replace(crossed=True)
        return path._replace(crossed=True, unknown=path.unknown or op)

    def _plainest(self, scalars: Sequence[tf.Tensor]) -> tf.Tensor:
        """The one of these scalars that is the gradient of a scalar variable, and no norm of it."""
        for scalar in scalars:
            with contextlib.suppress(AmbiguousRateError):
                if not self.path(scalar).crossed:
                    return scalar
        return scalars[0]

    def _either(self, paths: Sequence[_Path], op: tf.Operation) -> _Path:
        """The path of all branches of a cond that the gradient goes through."""
        visible = (None, _tf.control_flow_context(op))
        for path in paths:
            alike = [_same(factor, paths[0].factors.get(key)) for key, factor in path.factors.items()]
            tensors: list[tf.Tensor] = [factor for factor in path.factors.values() if tf.is_tensor(factor)]
            inside = [tensor for tensor in tensors if _tf.control_flow_context(tensor.op) not in visible]
            if not all(alike) or len(path.factors) != len(paths[0].factors) or inside:
                raise AmbiguousRateError.of_gradient(
                    self._name,
                    "is multiplied by other numbers in each branch of a cond (%s), so its rate is not known. Pass the "
                    "net rate of an update as rates=" % op.name,
                )
        return _together(paths[0].factors, paths)

    def _sum(self, paths: Sequence[_Path], op: tf.Operation) -> _Path:
        factors: dict[Key, Scalar] = {}
        for path in paths:
            for key, factor in path.factors.items():
                factors[key] = factors[key] + factor if key in factors else factor
        path = _together(factors, paths)
        if len(factors) > 1 and (path.crossed or (path.stacked and not all(p.stacked for p in paths))):
            raise _ambiguous(self._name, op)
        return path

    def _scaled(self, path: _Path, op: tf.Operation, main: tf.Tensor) -> _Path:
        other = op.inputs[1] if main is op.inputs[0] else op.inputs[0]
        divides = op.type in _DIVISIONS
        if divides and other is op.inputs[0]:
            return path._replace(crossed=True)
        if self._depends(other) or not graph.is_uniform(other) or self._is_threshold(other):
            return path
        if path.unknown is not None and not _same(_value(other), 1.0):
            raise AmbiguousRateError.of_gradient(
                self._name,
                "goes through %s (%s) and is multiplied behind it, and it is not known whether that takes back what "
                "that op or the loss multiplied. Pass the net rate of an update as rates="
                % (path.unknown.name, path.unknown.type),
            )
        if path.crossed:
            return path
        value = _value(other)
        return _times(path, value, divides)

    def _is_threshold(self, scalar: tf.Tensor) -> bool:
        """True for a limit that a clip on the way is made of."""
        limits = self._upstream.behind([self._applied]).limits.values()
        return any(_match(_value(scalar), _value(limit)) for limit in limits if not self._depends(limit))


def _together(factors: dict[Key, Scalar], paths: Sequence[_Path]) -> _Path:
    """A path with these factors, and what is on the way of any of `paths`."""
    unknown = next((path.unknown for path in paths if path.unknown is not None), None)
    return _Path(factors, any(path.crossed for path in paths), any(path.stacked for path in paths), unknown)


def _ambiguous(name: str, op: tf.Operation) -> AmbiguousRateError:
    return AmbiguousRateError(
        "gradients of %s from several tf.gradients calls are combined by %s (%s), and it is not known what that does "
        "to the coefficients of penalties. Pass the net rate of an update as rates=" % (name, op.name, op.type),
        variable=name,
    )


def _same(a: Scalar | None, b: Scalar | None) -> bool:
    return a is b or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b))


def _times(path: _Path, factor: Scalar, divides: bool = False) -> _Path:
    return path._replace(factors={k: _product(f, 1.0 / factor if divides else factor) for k, f in path.factors.items()})


def _product(a: Any, b: Any) -> Scalar:
    return tf.cast(a, b.dtype) * b if tf.is_tensor(a) and tf.is_tensor(b) else a * b


def _match(value: Scalar, limit: Scalar) -> bool:
    """True for the same number or its inverse, as tf.clip_by_average_norm has it, or the same tensor."""
    if not isinstance(value, float) or not isinstance(limit, float):
        return value is limit
    return math.isclose(limit, value, rel_tol=1e-5) or math.isclose(limit * value, 1.0, rel_tol=1e-5)


def _value(uniform: tf.Tensor) -> Scalar:
    value = _tf.constant_value(uniform)
    if value is not None:
        return float(value.reshape(-1)[0])
    return uniform if is_scalar(uniform) else tf.reshape(uniform, [-1])[0]
