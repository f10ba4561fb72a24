"""A learning rate of a graph, or what multiplies a decay, as code: a function of the number of updates so far."""

from __future__ import annotations

import keyword
import re
from dataclasses import replace

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.commands.migrate.reading.optimizer_settings import learning_rate_of
from tf1_wd.commands.migrate.writing.optimizers import number
from tf1_wd.graph.assignments import written_variable
from tf1_wd.graph.op_types import ASSIGNS, COUNTS_UP, PASSED_BY_SCHEDULES, PLUS

# op type -> how it is written; the operands stand for themselves, or in parentheses
_WRITTEN = {
    **dict.fromkeys(PLUS, "%s + %s"),
    "Sub": "%s - %s",
    "Mul": "%s * %s",
    "RealDiv": "%s / %s",
    "FloorDiv": "%s // %s",
    "FloorMod": "%s %% %s",
    "Pow": "%s ** %s",
    "Neg": "-%s",
    "Less": "%s < %s",
    "LessEqual": "%s <= %s",
    "Greater": "%s > %s",
    "GreaterEqual": "%s >= %s",
    **dict.fromkeys(("Select", "SelectV2", "Merge"), "tf.where(%s, %s, %s)"),
    "Ceil": "tf.math.ceil(%s)",
    "Log": "tf.math.log(%s)",
    "Rsqrt": "tf.math.rsqrt(%s)",
    "Sigmoid": "tf.sigmoid(%s)",
    "Reciprocal": "tf.math.reciprocal(%s)",
    "DivNoNan": "tf.math.divide_no_nan(%s, %s)",
    "NotEqual": "tf.not_equal(%s, %s)",
    "LogicalAnd": "tf.logical_and(%s, %s)",
    "LogicalOr": "tf.logical_or(%s, %s)",
    "LogicalNot": "tf.logical_not(%s)",
    **{name: "tf.%s(%%s)" % name.lower() for name in ("Floor", "Exp", "Sqrt", "Square", "Abs", "Cos", "Sin", "Tanh")},
    **{name: "tf.%s(%%s, %%s)" % name.lower() for name in ("Minimum", "Maximum", "Equal")},
}
_WIDE = 60  # what is longer has a line of its own


class _NotKnown(Exception):
    """The tensor depends on more than constants and a counter."""


def scheduled(part, updates, scales, constants, run=None):
    """A migration.Part with what the graph tells of its learning rate, and of its scale, where these change.

    updates: its ops. scales: the tensors that multiply its decays; None where that is not known. constants, run: as for
    schedule_of.
    """
    rates = [learning_rate_of(op) for op in updates if "Apply" in op.type and part.learning_rate == RUN_TIME]
    found = [
        schedule_of(tensors[0], updates, constants, run) if tensors else ()
        for tensors in (rates, [tensor for tensor in scales if tensor is not None])
    ]
    return replace(part, schedule=found[0], scale_schedule=found[1])


def schedule_of(tensor, updates, constants, run=None):
    """A scalar that updates use, as a function of `step`, the number of updates so far.

    tensor: tf.Tensor. updates: the ops that use it. constants: Constants. run: the ops that one run of the
    training executes; None if that is not known.
    Returns the lines of the function, a tuple of str; () if the tensor is anything but a function of one variable that
    starts at 0 and is counted up by 1 behind the updates, in each run of them.
    """
    try:
        writer = _Writer(constants)
        last = writer.expression(tensor)[0]
        if len(writer.dtypes) != 1:  # casts of the counter differ: each is written where it is
            writer = _Writer(constants, casts=True)
            last = writer.expression(tensor)[0]
    except _NotKnown:
        return ()
    if writer.counter is None or not _counts(writer.counter, tensor, updates, constants, run):
        return ()
    (dtype,) = writer.dtypes
    return ("step = tf.cast(step, tf.%s)" % dtype, *writer.lines, "return " + last)


def _counts(counter, tensor, updates, constants, run):
    """True if `counter` (its op) is the number of updates so far, whenever these take `tensor`."""
    writers = [op for op in counter.graph.get_operations() if written_variable(op) is counter]
    ups = [op for op in writers if adds_one(op, counter, constants)]
    sets = [op for op in writers if op.type in ASSIGNS and op not in ups]
    starts = [op for op in sets if constants.number(op.inputs[1]) == 0.0]
    restores = [op for op in sets if any(o.type.startswith("Restore") for o in graph.ancestors([op.inputs[1]]))]
    if len(ups) != 1 or not starts or len(ups) + len(starts) + len(restores) < len(writers):
        return False
    behind = set(graph.predecessors(ups))
    in_each_run = behind.issuperset([tensor.op, *updates]) and (run is None or ups[0] in run)
    same_branch = {_tf.control_flow_context(op) for op in updates} == {_tf.control_flow_context(ups[0])}
    return in_each_run and same_branch


def adds_one(op, counter, constants):
    """True for an op that does `counter += 1`, or `counter = counter + 1`. counter: op of the variable it writes."""
    value = _origin(op.inputs[1])
    if op.type in COUNTS_UP:
        return constants.number(value) == 1.0
    is_sum = op.type in ASSIGNS and value.op.type in PLUS
    terms = list(value.op.inputs) if is_sum else []
    ones = [t for t in terms if constants.number(t) == 1.0]
    return len(ones) == 1 and counter in map(graph.read_source, terms)


class _Writer:
    """Writes tensors as expressions; what is used again, or long, as a line that gives it a name.

    lines: these. counter: the op of the variable that was met. dtypes: what is made of its value. casts: False to leave
    out casts of the counter itself.
    """

    def __init__(self, constants, casts=False):
        self._constants, self._casts = constants, casts
        self._known, self._names = {}, {"step", "tf", "function"}
        self._users: dict | None = None  # {op: ops that take its output}
        self.lines, self.counter, self.dtypes = [], None, set()

    def expression(self, tensor):
        """(text, True if it needs no parentheses). Recursive: schedules are small."""
        tensor = _origin(tensor)
        if self._users is None:
            self._users = graph.consumers_among(graph.ancestors([tensor]))
        value = self._constants.number(tensor)
        if value is not None:
            return _literal(value, tensor.dtype.base_dtype)
        key = graph.key(tensor)
        if key not in self._known:
            self._known[key] = self._named(tensor, *self._written(tensor))
        return self._known[key]

    def _written(self, tensor):
        op = tensor.op
        if op.type == "Cast" and not self._casts and self._is_counter(op.inputs[0]):
            return self._step(tensor)
        if self._is_counter(tensor):
            return self._step(tensor)
        if op.type == "Cast":
            return "tf.cast(%s, tf.%s)" % (self.expression(op.inputs[0])[0], tensor.dtype.base_dtype.name), True
        if op.type not in _WRITTEN or tensor.shape.rank != 0:
            raise _NotKnown
        form = _WRITTEN[op.type]
        is_call = form.startswith("tf.")
        operands = [self._operand(t, is_call) for t in _operands(op)]
        return form % tuple(operands), is_call

    def _operand(self, tensor, of_call):
        text, is_atom = self.expression(tensor)
        dtype = tensor.dtype.base_dtype
        if of_call and self._constants.number(_origin(tensor)) is not None and dtype not in (tf.float32, tf.bool):
            return "tf.constant(%s, tf.%s)" % (text, dtype.name)  # a call takes bare numbers as float32 or int32
        return text if is_atom or of_call else "(%s)" % text

    def _is_counter(self, tensor):
        op = _origin(tensor).op
        return graph.is_variable(op) or (op.type == "ReadVariableOp" and graph.read_source(tensor) is not None)

    def _step(self, tensor):
        counter = graph.read_source(tensor)
        if self.counter not in (None, counter):
            raise _NotKnown
        self.counter = counter
        self.dtypes.add(tensor.dtype.base_dtype.name)
        return "step", True

    def _named(self, tensor, text, is_atom):
        if text == "step" or (len((self._users or {}).get(tensor.op, ())) < 2 and len(text) <= _WIDE):
            return text, is_atom
        name = base = re.sub(r"\W", "_", tensor.op.name.rsplit("/", 1)[-1]).lower().lstrip("_0123456789") or "value"
        taken = 1
        while name in self._names or keyword.iskeyword(name):
            name, taken = "%s_%d" % (base, taken), taken + 1
        self._names.add(name)
        self.lines.append("%s = %s" % (name, text))
        return name, True


def _origin(tensor):
    """A tensor, seen through what changes no number."""
    return graph.through(tensor, PASSED_BY_SCHEDULES)


def _operands(op):
    """The tensors that an op computes from; of the Merge of a cond: predicate, value if true, value if not."""
    if op.type != "Merge":
        return op.inputs
    predicates = [_tf.predicate(t.op) for t in op.inputs]
    if len(predicates) != 2 or None in predicates or len(set(map(graph.key, predicates))) > 1:
        raise _NotKnown
    return [predicates[0], op.inputs[1], op.inputs[0]]


def _literal(value, dtype):
    """(text, True if it needs no parentheses) of a constant."""
    if dtype.is_bool:
        return str(bool(value)), True
    return number(int(value) if dtype.is_integer else value), value >= 0
