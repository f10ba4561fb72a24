"""Calls of tf.gradients inside a scope: the penalties in what is differentiated, and what to take for constant."""

from __future__ import annotations

from typing import Any, Collection, Tuple

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.graph.gradients import as_list, tensors_of
from tf1_wd.penalties.find import Penalty, find_penalties, gated_variables, rates, weigh
from tf1_wd.penalties.in_functions import functions_with_l2
from tf1_wd.penalties.other_words import OtherWords, read_other_words
from tf1_wd.penalties.rows import RowTerm, read_rows

Key = Tuple[tf.Operation, int]  # what graph.key returns
_READS = ("ReadVariableOp", "ResourceGather")  # of the value of a resource variable


def _seed(value: Any, y: tf.Tensor) -> tf.Tensor | None:
    """What a gradient of y is multiplied by; tf.gradients takes numbers too."""
    is_graph = value is None or isinstance(value, (tf.Tensor, tf.IndexedSlices))
    return value if is_graph else tf.convert_to_tensor(value, y.dtype.base_dtype)


class GradientCall:
    """One call of tf.gradients: the penalties in its ys, the rates they give, and what it returned.

    ys: list of tf.Tensor. penalties: list of Penalty. rates: {op of a variable: rate}. own: OwnTerms, whose step is no
    multiple of their variables. freed: ops of the variables with one of both. constants: the tensors to treat as
    constants, so that no gradient flows through a penalty or an own term. terms: names of other terms of variables
    alone in ys. trained_coefficients: names of those that L2 is multiplied by. norms: names of
    what looks like a penalty and is none, see `weigh`, and of terms of variables alone behind tf.stop_gradient.
    gated: ops of variables with L2 inside a branch or a loop. functions_with_l2: names of functions that ys call.
    of: ops of the variables whose penalties are taken out; None: all, and what is L2 in other words.
    After `keep`: derivatives: {op of a variable: tensors of its raw gradient}. raw: {graph.key of a tensor: ops of the
    variables whose raw gradient it is part of}. is_decay_alone: True if nothing but penalties reaches the variables.

    decouples_others: True to make own terms also of those that are not L2. through: the ops of ys that the gradients go
    through, where the call was not seen: what it was told to take for constant is among the others; None: all.
    """

    def __init__(
        self,
        ys: Any,
        xs: Any,
        grad_ys: Any,
        decouples_others: bool = False,
        of: Collection[tf.Operation] | None = None,
        through: Collection[tf.Operation] | None = None,
    ) -> None:
        self._xs = as_list(xs)
        self.ys = [tf.convert_to_tensor(y) for y in as_list(ys)]
        self.ops = graph.ancestors(self.ys)
        candidates = find_penalties(self.ops, self.ys)
        self.is_weighted = any(g is not None for g in as_list(grad_ys))
        seeds = None if grad_ys is None else [_seed(g, y) for g, y in zip(as_list(grad_ys), self.ys)]
        weighed = weigh(candidates, self.ys, seeds)
        weighed = [pair for pair in weighed if of is None or set(pair[0].factors) <= set(of)]
        kept = {id(penalty) for penalty, _ in weighed}
        others = [(p.tensor.op.name, self._functions_behind(p)) for p in candidates if id(p) not in kept]
        begin, known = self._differentiated_by(), [penalty for penalty, _ in weighed]
        impure = set(graph.between(begin, self.ops, {p.tensor.op for p in known}))
        words, rows = OtherWords(), OtherWords()
        if of is None:
            words = read_other_words(self.ys, self.ops, begin, impure, known, seeds, decouples_others)
            rows = read_rows(self.ys, self.ops, begin, impure, seeds)
        found = words.tensors + rows.tensors
        if found:
            impure = set(graph.between(begin, self.ops, {t.op for t in [*found, *(p.tensor for p in known)]}))
        told = set(words.coupled + rows.coupled)
        found += [op.outputs[0] for op in self.ops if op.name in told]
        inside = {op.name for op in graph.ancestors(found)}  # what is told as a whole is no norm of its own
        self.norms = [name for name, functions in others if not functions and name not in inside]
        weighed += words.weighed
        self.own = words.own + rows.own
        if through is not None:
            weighed = [pair for pair in weighed if pair[0].tensor.op in through]
            self.own = [own for own in self.own if own.term.tensor.op in through]
        self.penalties = [penalty for penalty, _ in weighed]
        self.rates = rates(weighed)
        self.freed = {*self.rates, *(op for own in self.own for op in own.term.variables)}
        stopped = {op for op in self.ops if op.type == "StopGradient"}
        moving = {op.name for op in graph.between(begin, self.ops, stopped)}
        terms = [name for name in words.coupled + rows.coupled if name in moving]
        at_run_time = [c for _, c in weighed if not isinstance(c, float)]
        in_coefficients = {op.name for op in graph.ancestors(at_run_time)}
        self.trained_coefficients = [name for name in terms if name in in_coefficients]
        self.terms = [name for name in terms if name not in in_coefficients]
        self.norms += sorted(told.difference(moving))
        in_functions = functions_with_l2(self.ops)
        self.gated = gated_variables(self.ops, self.ys) | in_functions.gated
        self.functions_with_l2 = sorted({*in_functions.names, *(f for _, found in others for f in found)})
        self.constants = self._outermost(impure)
        self.derivatives: dict[tf.Operation, list[tf.Tensor]] = {}
        self.raw: dict[Key, list[tf.Operation]] = {}
        self.is_decay_alone = bool(self.freed)

    def keep(self, results: list) -> list:
        """Takes note of what the call returned for each variable, and returns it.

        Where penalties alone reach a variable that is zeros, not None: the program got a gradient there before, may add
        it to others, and has slots for it in its checkpoints.
        """
        kept = []
        for x, gradient in zip(self._xs, results):
            op = graph.variable_op(x)
            if gradient is None and op in self.freed:
                gradient = self._zeros(x, op)
            elif gradient is not None:
                self.is_decay_alone = False
            if op is not None:
                self.derivatives[op] = tensors_of(gradient)
                for tensor in self.derivatives[op]:
                    self.raw.setdefault(graph.key(tensor), []).append(op)
            kept.append(gradient)
        return kept

    def _zeros(self, x: Any, op: tf.Operation) -> Any:
        """Zeros in place of the gradient of what left it: sparse ones for rows that are looked up."""
        terms = [own.term for own in self.own if op in own.term.variables]
        ids = [lookup.ids for term in terms if isinstance(term, RowTerm) for lookup in term.lookups[op]]
        if op in self.rates or not ids or not all(isinstance(term, RowTerm) for term in terms):
            return tf.zeros_like(x)
        indices = tf.concat([tf.reshape(tf.cast(i, tf.int64), [-1]) for i in ids], 0)
        shape = tf.concat([tf.shape(indices), tf.shape(x)[1:]], 0)
        return tf.IndexedSlices(tf.zeros(shape, x.dtype.base_dtype), indices)

    def reads_of(self, variable: tf.Operation) -> list[tf.Operation]:
        """The ops that must run before `variable` (its op) is written, so that penalties report old weights.

        Resource variables: the reads. Reference variables: the penalties, as a read aliases the buffer.
        """
        penalties = [p.tensor for p in self.penalties if variable in p.factors]
        penalties += [own.term.tensor for own in self.own if variable in own.term.variables]
        if variable.type != "VarHandleOp":
            return [tensor.op for tensor in penalties]
        ops = graph.ancestors(penalties)
        return [op for op in ops if op.type in _READS and graph.read_source(op.inputs[0]) is variable]

    def contains(self, tensor: tf.Tensor) -> bool:
        """True if the loss contains `tensor`, or another one that computes the same."""
        return any(
            op is tensor.op or (op.type == tensor.op.type and graph.same_structure(op.outputs[0], tensor))
            for op in self.ops
            if op.outputs
        )

    def _functions_behind(self, penalty: Penalty) -> list[str]:
        """The names of the functions that a penalty goes through on its way into ys."""
        behind = graph.between([penalty.tensor.op], self.ops)
        return [op.name for op in behind if op.type in graph.CALLS or _tf.is_function(op)]

    def _differentiated_by(self) -> list[tf.Operation]:
        """The ops among the ancestors of ys that xs stand for."""
        variables = [(x, graph.variable_op(x)) for x in self._xs if hasattr(x, "op")]
        sources = {x.op if op is None else op for x, op in variables}
        return [op for op in self.ops if _tf.outer_op(op) in sources]

    def _outermost(self, impure: set[tf.Operation]) -> list[tf.Tensor]:
        """The outermost tensors that depend on xs through penalties and own terms alone.

        impure: the ops that depend on xs otherwise.
        Stopping at the outermost tensor also skips the gradient ops of the arithmetic around the penalties.
        """
        inner = {p.tensor.op for p in self.penalties} | {own.term.tensor.op for own in self.own}
        pure = (inner | set(graph.between(list(inner), self.ops))) - impure
        consumers = graph.consumers_among(self.ops)
        return [
            tensor
            for op in self.ops
            if op in pure and not all(consumer in pure for consumer in consumers.get(op, [None]))
            for tensor in op.outputs
        ]
