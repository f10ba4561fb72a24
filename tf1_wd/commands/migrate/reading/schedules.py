"""A learning rate of a graph, or what multiplies a decay, as code: a function of the number of updates so far."""

from __future__ import annotations

import keyword
import re

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.commands.migrate.reading.pieces import CHOICES, NotKnown, operands, origin, pieces_of
from tf1_wd.commands.migrate.writing.optimizers import number
from tf1_wd.graph.assignments import written_variable
from tf1_wd.graph.op_types import ASSIGNS, COUNTS_UP, PLUS

# op type -> the operator, or the function of TensorFlow, that does the same
_OPERATORS = {
    **dict.fromkeys(PLUS, "+"),
    **{"Neg": "-", "Sub": "-", "Mul": "*", "RealDiv": "/", "FloorDiv": "//", "FloorMod": "%", "Pow": "**"},
    **{"Less": "<", "LessEqual": "<=", "Greater": ">", "GreaterEqual": ">="},
}
_FUNCTIONS = {
    **dict.fromkeys(CHOICES, "where"),
    **{name: name.lower() for name in ("Floor", "Exp", "Sqrt", "Square", "Abs", "Cos", "Sin", "Tanh", "Sigmoid")},
    **{name: name.lower() for name in ("Minimum", "Maximum", "Equal")},
    **{name: "math." + name.lower() for name in ("Ceil", "Log", "Rsqrt", "Reciprocal")},
    **{"LogicalAnd": "logical_and", "LogicalOr": "logical_or", "LogicalNot": "logical_not", "NotEqual": "not_equal"},
    "DivNoNan": "math.divide_no_nan",
}
_PIECEWISE = "tf.keras.optimizers.schedules.PiecewiseConstantDecay"
_WIDE = 60  # what is longer has a line of its own


def schedule_of(tensor, updates, constants, run=None):
    """A scalar that updates use, as a function of `step`, the number of updates so far.

    tensor: tf.Tensor. updates: the ops that use it. constants: Constants. run: the ops that one run of the
    training executes; None if that is not known.
    Returns the lines of the function, a tuple of str; () if the tensor is anything but a function of one variable that
    starts at 0 and is counted up by 1 behind the updates, in each run of them.
    """
    try:
        writer = _Writer(tensor, constants)
        if len(writer.dtypes) != 1:  # casts of the counter differ: each is written where it is
            writer = _Writer(tensor, constants, casts=True)
    except NotKnown:
        return ()
    if writer.counter is None or not _counts(writer.counter, tensor, updates, constants, run):
        return ()
    (dtype,) = writer.dtypes
    lines = ["step = tf.cast(step, tf.%s)" % dtype, *writer.lines]
    named = writer.value + " = "
    value = lines.pop()[len(named) :] if lines[-1].startswith(named) else writer.value
    return (*lines, "return " + value)


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
    value = origin(op.inputs[1])
    if op.type in COUNTS_UP:
        return constants.number(value) == 1.0
    is_sum = op.type in ASSIGNS and value.op.type in PLUS
    terms = list(value.op.inputs) if is_sum else []
    ones = [t for t in terms if constants.number(t) == 1.0]
    return len(ones) == 1 and counter in map(graph.read_source, terms)


class _Writer:
    """Writes a tensor as an expression; what is used again, or long, as a line that gives it a name.

    value, lines: these. counter: the op of the variable that was met. dtypes: what is made of its value. casts: False
    to leave out casts of the counter itself.
    """

    def __init__(self, tensor, constants, casts=False):
        self._constants, self._casts = constants, casts
        self._users = graph.consumers_among(graph.ancestors([origin(tensor)]))
        self._known, self._names = {}, {"step", "tf", "function"}
        self.lines, self.counter, self.dtypes = [], None, set()
        self.value = self._expression(tensor)[0]

    def _expression(self, tensor):
        """(text, True if it needs no parentheses). Recursive: schedules are small."""
        tensor = origin(tensor)
        value = self._constants.number(tensor)
        if value is not None:
            if tensor.dtype.base_dtype.is_bool:
                return str(bool(value)), True
            return number(int(value) if tensor.dtype.base_dtype.is_integer else value), value >= 0
        key = graph.key(tensor)
        if key not in self._known:
            self._known[key] = self._named(tensor, *self._written(tensor))
        return self._known[key]

    def _written(self, tensor):
        op, dtype = tensor.op, tensor.dtype.base_dtype.name
        if self._is_step(tensor):
            return "step", True
        if op.type == "Cast":
            return "tf.cast(%s, tf.%s)" % (self._expression(op.inputs[0])[0], dtype), True
        if tensor.shape.rank != 0:
            raise NotKnown
        pieces = pieces_of(tensor, self._is_step, self._constants) if self._is_choice(tensor) else None
        if pieces is not None:
            lists = ["[%s]" % ", ".join(map(number, part)) for part in pieces]
            return "%s(%s)(step)" % (_PIECEWISE, ", ".join(lists)), True
        if op.type in _FUNCTIONS:
            texts = [self._operand(t, of_call=True) for t in operands(op)]
            return "tf.%s(%s)" % (_FUNCTIONS[op.type], ", ".join(texts)), True
        if op.type not in _OPERATORS:
            raise NotKnown
        sign, texts = _OPERATORS[op.type], [self._operand(t) for t in op.inputs]
        return (" %s " % sign).join(texts) if len(texts) > 1 else sign + texts[0], False

    def _is_step(self, tensor):
        """True for a read of the counter, or a cast of one, where these are left out; takes note of both."""
        op = tensor.op
        read = origin(op.inputs[0]).op if op.type == "Cast" and not self._casts else op
        counter = graph.read_source(tensor)
        if counter is None or not (graph.is_variable(read) or read.type == "ReadVariableOp"):
            return False
        if self.counter not in (None, counter):
            raise NotKnown
        self.counter = counter
        self.dtypes.add(tensor.dtype.base_dtype.name)
        return True

    @staticmethod
    def _is_choice(tensor):
        """True for a choice between two numbers of the dtype that Keras's schedules have."""
        return tensor.op.type in CHOICES and tensor.dtype.base_dtype == tf.float32

    def _operand(self, tensor, of_call=False):
        text, is_atom = self._expression(tensor)
        dtype = tensor.dtype.base_dtype
        if of_call and self._constants.number(origin(tensor)) is not None and dtype not in (tf.float32, tf.bool):
            return "tf.constant(%s, tf.%s)" % (text, dtype.name)  # a call takes bare numbers as float32 or int32
        return text if is_atom or of_call else "(%s)" % text

    def _named(self, tensor, text, is_atom):
        if text == "step" or (len(self._users.get(tensor.op, ())) < 2 and len(text) <= _WIDE):
            return text, is_atom
        word = "chosen" if tensor.op.type in CHOICES else tensor.op.name.rsplit("/", 1)[-1]
        name = base = re.sub(r"\W", "_", word).lower().lstrip("_0123456789") or "value"
        taken = 1
        while name in self._names or keyword.iskeyword(name):
            name, taken = "%s_%d" % (base, taken), taken + 1
        self._names.add(name)
        self.lines.append("%s = %s" % (name, text))
        return name, True
