"""One update of all replicas of a distribution strategy: every copy of a variable decays once, by the net rate."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, Callable, Sequence

from tf1_wd import _tf, graph
from tf1_wd._tf import tf
from tf1_wd.decay.ops.ordering import apply_with
from tf1_wd.decay.ops.scale import scale_now
from tf1_wd.decay.ops.sparse_rows import Rows, indices_of
from tf1_wd.decay.ops.update import AppliedUpdate, Collection, Update, collection_now, plan_update
from tf1_wd.errors import UnsupportedUpdateError
from tf1_wd.graph.gradients import Pairs, Scalar, tensors_of
from tf1_wd.penalties.gradient_call import GradientCall
from tf1_wd.plan.options import LAZY, Rules


@dataclass(frozen=True, eq=False)
class Replica:
    """What one replica brings to the update: gradients, the calls behind them, the rates of the loss by its copies."""

    pairs: Pairs
    calls: list[GradientCall]
    loss_rates: dict[tf.Operation, Scalar]


def apply_in_replicas(
    replica: Replica,
    rules: Rules,
    optimizer: tf.train.Optimizer,
    global_step: Any,
    name: str | None,
    check: Callable[[Update], None],
) -> tuple[Any, AppliedUpdate]:
    """Joins the replicas (each calls this) into one update, as apply_gradients does, with the decay of every copy.

    The gradients of the replicas are added up, and so are the rates of their losses; a rate of the collection counts
    once. check: function of the Update of the first replica, called before anything is built.
    Returns the op that applies the update, and what it applies to the copies of this replica.
    """

    def merged(strategy: Any, replicas: Any, pairs: Any, global_step: Any) -> Any:
        replicas = strategy.experimental_local_results(replicas)
        update = _net_update(replicas, rules)
        check(update)
        scale: Scalar = 1.0
        if not update.is_empty:
            counter = None if global_step is None else _tf.copies(global_step)[0]
            scale = scale_now(rules.scale, _tf.learning_rate(optimizer), counter)
        here = tf.get_default_graph()
        each = [AppliedUpdate(_on_copies(update, replicas, [i]), scale, here) for i in range(len(replicas))]
        apply = functools.partial(_tf.distributed_apply, optimizer, strategy, pairs, global_step, name)
        if update.is_empty:
            return apply(), list(zip(replicas, each))
        everywhere = AppliedUpdate(_on_copies(update, replicas, range(len(replicas))), scale, here)
        return apply_with(everywhere, rules, optimizer, apply), list(zip(replicas, each))

    context = tf.distribute.get_replica_context()
    train_op, applied = context.merge_call(merged, args=(replica, replica.pairs, global_step))
    return train_op, next(own for other, own in applied if other is replica)


def _net_update(replicas: Sequence[Replica], rules: Rules) -> Update:
    """The Update of the first replica, with net rates."""
    if rules.sparse == LAZY:
        raise UnsupportedUpdateError(
            "under a distribution strategy every replica looks up rows of its own, and with sparse='lazy' other rows "
            "would be up to date on each copy of a table: use another sparse="
        )
    copies = [_tf.copies(variable) for _, variable in replicas[0].pairs]
    collection = collection_now()
    loss_rates: dict[tf.Operation, Scalar] = {}
    collection_rates: dict[tf.Operation, Scalar] = {}
    for row in copies:
        ops = [graph.variable_op(copy) for copy in row]
        found = [r.loss_rates[op] for r, op in zip(replicas, ops) if op in r.loss_rates]
        if found:
            loss_rates[ops[0]] = sum(found[1:], found[0])
        collection_rates.update((ops[0], collection.rates[op]) for op in reversed(ops) if op in collection.rates)
    pairs = [(gradient, row[0]) for (gradient, _), row in zip(replicas[0].pairs, copies)]
    calls = [call for r in replicas for call in r.calls]
    update = plan_update(pairs, rules, calls, loss_rates, Collection(collection.terms, collection_rates))
    if update.replayed:
        raise UnsupportedUpdateError(
            "%s of the loss collection is not L2 and not in the loss, and under a distribution strategy it cannot be "
            "told on which copies of the variables it should act: add it to the loss, or take it out of the collection"
            % update.replayed[0].term.tensor.op.name
        )
    return update


def _on_copies(update: Update, replicas: Sequence[Replica], members: Sequence[int]) -> Update:
    """`update`, with its variables replaced by their copies on some replicas, given by number."""
    copies = {graph.variable_op(row[0]): row for row in (_tf.copies(v) for _, v in replicas[0].pairs)}
    calls = [call for r in replicas for call in r.calls]
    ops = {key: [graph.variable_op(row[i]) for i in members] for key, row in copies.items()}
    return replace(
        update,
        decisions=tuple(
            replace(d, variable=copies[graph.variable_op(d.variable)][i]) for d in update.decisions for i in members
        ),
        gradients=tuple(tensor for i in members for g, _ in replicas[i].pairs for tensor in tensors_of(g)),
        updated=tuple(op for key in update.updated for op in ops[key]),
        reads={op: [r for c in calls for r in c.reads_of(op)] for row in ops.values() for op in row},
        rows={op: _rows(replicas, key) for key in update.rows for op in ops[key]},
    )


def _rows(replicas: Sequence[Replica], key: tf.Operation) -> Rows:
    """The rows that the gradients of all replicas touch, of the variable whose first copy has the op `key`."""
    gradients = [g for r in replicas for g, v in r.pairs if graph.variable_op(_tf.copies(v)[0]) is key]
    return Rows(indices_of(gradients))
