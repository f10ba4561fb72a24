"""The L2 that a program declares, in collections and by regularizers of Keras layers, and what of it a loss holds."""

from __future__ import annotations

import gc
from dataclasses import dataclass

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.graph.variables import trainable_variables
from tf1_wd.keras.layers import is_layer_class
from tf1_wd.keras.regularizers import rate_of, regularizers_of
from tf1_wd.penalties.find import find_penalties, rates, weigh

# collections of losses that are sums already, and of what is run
_ENDS = frozenset(["train_op", "summaries", "init_op", "local_init_op", "ready_op", "savers", "summary_op"])
_FAR = 8  # ops from a penalty to the entry of a collection that holds it


@dataclass(frozen=True)
class Declared:
    """What a collection holds.

    terms: ((tensor of an entry, its penalties), ...). rates: those that the penalties would give, {op of a variable:
    float or "run time"}.
    """

    terms: tuple
    rates: dict

    @property
    def penalties(self):
        """Those of all entries."""
        return tuple(penalty for _, penalties in self.terms for penalty in penalties)


def in_collections(tf_graph):
    """{name of a collection: Declared} of all collections of a graph whose scalars hold penalties."""
    found = {}
    for name in tf_graph.get_all_collection_keys():
        if not isinstance(name, str) or name in _ENDS:
            continue
        tensors = [t for t in map(_scalar, tf_graph.get_collection(name)) if t is not None and t.graph is tf_graph]
        # each on its own: an entry may hold another one in a form that is no L2
        weighed = [(t, weigh(find_penalties(graph.ancestors([t]), [t]), [t])) for t in dict.fromkeys(tensors)]
        terms = tuple((t, tuple(p for p, _ in pairs)) for t, pairs in weighed if pairs)
        if terms:
            pairs = [pair for _, pairs in weighed for pair in pairs]
            found[name] = Declared(terms, {op: known(rate) for op, rate in rates(pairs).items()})
    return found


def by_layers(tf_graph):
    """{op of a trainable variable: rate} of the L2 regularizers of Keras layers, as far as the program holds them."""
    kinds: dict = {}
    layers = []
    for o in gc.get_objects():
        kind = type(o)
        if kind not in kinds:
            kinds[kind] = is_layer_class(kind)
        if kinds[kind]:
            layers.append(o)
    trainable = set(map(graph.variable_op, trainable_variables(tf_graph)))
    found: dict = {}
    for weight, regularizer in regularizers_of(layers):
        op = graph.variable_op(weight) if getattr(weight, "graph", None) is tf_graph else None
        if op in trainable:
            found[op] = rate_of(regularizer, weight.shape)
    return {op: rate for op, rate in found.items() if rate}


def origins(ops, collections):
    """{op of a penalty in a loss: op of the penalty in a collection that it is, or is a copy of}.

    TensorFlow 2 makes a regularizer's term anew where it is used. ops: those of the loss. collections: {name:
    Declared}.
    """
    inside, copies = set(ops), None
    found: dict = {}
    consumers: dict = {}
    for tensor, penalties in (term for declared in collections.values() for term in declared.terms):
        if tensor.op in inside:
            found.update((p.tensor.op, p.tensor.op) for p in penalties)
            continue
        if copies is None:
            copies, consumers = _by_variable(find_penalties(ops, [])), graph.consumers_among(ops)
        for penalty in penalties:
            for copy in (copy for variable in penalty.factors for copy in copies.get(variable, ())):
                if _leads_to(copy, tensor, consumers):
                    found[copy] = penalty.tensor.op
    return found


def _by_variable(penalties):
    found: dict = {}
    for penalty in penalties:
        for variable in penalty.factors:
            found.setdefault(variable, []).append(penalty.tensor.op)
    return found


def _leads_to(op, tensor, consumers):
    """True if a copy of `tensor` is made of `op`. consumers: {op: those that take its outputs}."""
    front = {op}
    for _ in range(_FAR):
        if any(o.type == tensor.op.type and graph.same_structure(o.outputs[tensor.value_index], tensor) for o in front):
            return True
        front = {consumer for o in front for consumer in consumers.get(o, ())}
    return False


def known(rate):
    """A rate as a report has it: a float, or "run time" for a tensor."""
    return float(rate) if isinstance(rate, (int, float)) else RUN_TIME


def _scalar(entry):
    if _tf.is_resource(entry) or not tf.is_tensor(entry):
        return None
    tensor = _tf.collection_tensor(entry)
    scalar = tensor.dtype.base_dtype.is_floating and tensor.shape.num_elements() == 1
    return tensor if scalar and not graph.is_variable(tensor.op) else None
