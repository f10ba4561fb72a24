"""Random programs against NumPy: models with penalties in many words, towers, replicas, optimizers, rules, options.

200 of them run with the other tests. More, 2,000 say, as fast as the cores allow:
    TF1_WD_RANDOM_PROGRAMS=2000 pytest tests/programs/test_random_programs.py
"""

from __future__ import annotations

import os
import random
from dataclasses import replace

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import HealthCheck, Phase, assume, given, note, seed, settings
from hypothesis import strategies as st

import tf1_wd
from support import oracle
from support.penalty_words import MULTIPLE, OTHER, WORDS
from support.random_programs import GIVEN, IDS, LR, MODELS, RULES, Feeds, Penalty, Program, Variable, trained_in_numpy
from support.replicas import REPLICAS, copies, in_replicas
from tf1_wd import errors
from tf1_wd.plan.reasons import Fate

PROGRAMS = int(os.environ.get("TF1_WD_RANDOM_PROGRAMS", 200))
CHUNKS = 10
SHAPES = [(3,), (4, 3)]
# of weights that are rounded at each step; settings of optimizers are float32
TOLERANCES = {"float16": 2e-2, "float32": 2e-4, "float64": 2e-6}


def program_of(source):
    """A program that an instance of random.Random chooses."""
    is_mirrored = source.random() < 0.07
    dtype = source.choice(["float32", "float32", "float64", "float64", "float16"])
    variables = [variable_of(source, is_mirrored) for _ in range(source.choice([1, 1, 2, 2]))]
    numbers = list(range(len(variables)))
    excluded = source.choice([None, None, *numbers])
    penalties = [penalty_of(source, dtype, numbers) for _ in range(source.choice([1, 1, 1, 2, 2, 3]))]
    optimizers = ["sgd", "momentum"] if dtype == "float16" else oracle.OPTIMIZERS
    program = Program(
        variables=variables,
        dtype=dtype,
        is_resource=is_mirrored or source.choice([False, True]),
        penalties=list({(p.word, p.variables): p for p in penalties}.values()),
        optimizer=source.choice([o for o in optimizers if not (is_mirrored and o == "ftrl")]),
        rule=source.choice(sorted(RULES)),
        towers=1 if is_mirrored else source.choice([1] * 7 + [2]),
        is_mirrored=is_mirrored,
        given=source.choice([None, None, *[i for i in numbers if i != excluded]]),
        excluded=excluded,
        others="coupled" if is_mirrored else source.choice(["coupled", "decouple"]),  # refused under a strategy
        sparse="all_rows",
        backend=source.choice(["auto", "tensorflow"]),
    )
    if any(program.is_sparse(i) and program.rate(i) for i in numbers):
        return replace(program, sparse=source.choice(["all_rows", "touched_rows"]))
    return program


def variable_of(source, is_mirrored):
    return Variable(
        shape=source.choice(SHAPES),
        model=source.choice(sorted(set(MODELS) - {"table"} if is_mirrored else MODELS)),
        is_partitioned=not is_mirrored and source.random() < 0.3,
    )


def penalty_of(source, dtype, numbers):
    words = [name for name in sorted(WORDS) if WORDS[name].variables <= len(numbers)]
    if dtype == "float16":  # where rounding could change the sign of a weight
        words = [name for name in words if WORDS[name].kind != OTHER]
    word, first = source.choice(words), source.choice(numbers)
    return Penalty(
        word=word,
        variables=(first, (first + 1) % len(numbers))[: WORDS[word].variables],
        coefficient=source.choice([0.05, 0.1]),
        coefficient_by="number" if WORDS[word].grows else source.choice(["number", "fed", "variable"]),
        is_read_often=source.choice([False, True]),
        where=source.choice(["loss", "loss", "both", "collection"]),
    )


def start_of(program, i):
    """An initializer, also of a part of a partitioned variable."""

    def values(shape, dtype=None, partition_info=None):
        first = 0 if partition_info is None else partition_info.var_offset[0]
        return tf.constant(program.start(i)[first : first + int(shape[0])], dtype)

    return values


def variables_of(program):
    with tf.variable_scope("model", use_resource=program.is_resource):
        return [
            tf.get_variable(
                "v%d" % i,
                v.shape,
                program.dtype,
                start_of(program, i),
                partitioner=tf.fixed_size_partitioner(2) if v.is_partitioned else None,
            )
            for i, v in enumerate(program.variables)
        ]


def term_of(program, n, variables, feeds):
    p = program.penalties[n]
    mine = [variables[i] for i in p.variables]
    with tf.name_scope("term%d_" % n):
        coefficient = feeds.coefficients.get(n, p.coefficient_of(program.dtype))
        if p.is_of_rows:
            return coefficient * WORDS[p.word].build(*mine, feeds.ids)
        whole = [program.variables[i].is_partitioned or not p.is_read_often for i in p.variables]
        values = [tf.convert_to_tensor(v) if w else v for v, w in zip(mine, whole)]
        return coefficient * WORDS[p.word].build(*values)


def losses_of(program, variables, feeds):
    """The losses of the towers; the collection has what is not in them, and what all of them add."""
    collected = []
    for n, p in enumerate(program.penalties):
        if p.where != "loss":
            term = term_of(program, n, variables, feeds)
            tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, term)
            collected += [term] if p.in_loss else []
    losses = []
    for tower in range(program.towers):
        with tf.name_scope("tower%d" % tower):
            data = [
                MODELS[v.model][0](variables[i], tf.constant(program.slope(i), program.dtype), feeds)
                for i, v in enumerate(program.variables)
            ]
            terms = [
                term_of(program, n, variables, feeds) for n, p in enumerate(program.penalties) if p.where == "loss"
            ]
            losses.append(tf.add_n(data + terms + collected))
    return losses


def train_op_of(program, variables, feeds, global_step):
    losses = losses_of(program, variables, feeds)
    optimizer = oracle.tf_optimizer(tf, program.optimizer, LR)
    replicas = REPLICAS if program.is_mirrored else 1
    towers = [optimizer.compute_gradients(loss / replicas) for loss in losses]
    pairs = towers[0] if len(towers) == 1 else [mean_of(pairs) for pairs in zip(*towers)]
    return optimizer.apply_gradients(pairs, global_step)


def mean_of(pairs):
    """One pair of those of the towers; rows stay rows."""
    gradients, variable = [g for g, _ in pairs], pairs[0][1]
    if not isinstance(gradients[0], tf.IndexedSlices):
        return tf.add_n(gradients) / float(len(pairs)), variable
    values = tf.concat([g.values for g in gradients], 0) / float(len(pairs))
    return tf.IndexedSlices(values, tf.concat([g.indices for g in gradients], 0), gradients[0].dense_shape), variable


def options_of(program):
    return dict(
        RULES[program.rule][0](),
        rates=None if program.given is None else {"v%d" % program.given: GIVEN},
        exclude=None if program.excluded is None else "v%d" % program.excluded,
        others=program.others,
        sparse=program.sparse,
        backend=program.backend,
    )


def built(program):
    """(the variables, what they are fed, the train_op, the plan)."""
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]) if program.is_mirrored else None
    with tf.name_scope("") if strategy is None else strategy.scope():
        variables, feeds = variables_of(program), Feeds(program)
        global_step = tf.train.get_or_create_global_step()
        with tf1_wd.decoupled_weight_decay(**options_of(program)) as scope:

            def step():
                return train_op_of(program, variables, feeds, global_step)

            train_op = in_replicas(strategy, step) if program.is_mirrored else step()
        values = [copies(v) if program.is_mirrored else [tf.convert_to_tensor(v)] for v in variables]
    return values, feeds, train_op, scope.plan


def check(program):
    with tf.Graph().as_default(), tf.Session() as session:
        indices = range(len(program.variables))
        if program.is_refused:
            with pytest.raises(errors.UnsupportedUpdateError, match=r"not L2 and not in the loss|cannot be replayed"):
                built(program)
            return
        if not any(program.rate(i) or program.steps(i) for i in indices):
            with pytest.raises(errors.NothingToDecayError):
                built(program)
            return
        variables, feeds, train_op, plan = built(program)
        session.run(tf.global_variables_initializer())
        for step in range(len(IDS)):
            session.run(train_op, feeds.of(step))
        found = session.run(variables)
    tolerance = TOLERANCES[program.dtype]
    for i, (values, wanted) in enumerate(zip(found, trained_in_numpy(program))):
        for got in values:
            np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance, err_msg="v%d" % i)
    check_plan(program, plan)


def check_plan(program, plan):
    """Each term that is no rate of a variable is named, and nothing of the model is."""
    for n, p in enumerate(program.penalties):
        fates = [fate for name, fate in plan.terms if "term%d_" % n in name]
        if program.kind(p) == MULTIPLE and not p.is_left:
            assert fates == [], (p, plan.terms)
        else:
            moves = any(p in program.steps(i) for i in p.variables)
            assert fates, (p, plan.terms)
            assert {fate.is_own_step for fate in fates} == {moves}, (p, plan.terms)
    of_model = {fate for name, fate in plan.terms if "term" not in name}
    assert of_model <= {Fate.NORM}, plan.terms


@pytest.mark.filterwarnings("ignore::tf1_wd.errors.UndecayedWarning")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_programs_decay_as_numpy_does_and_what_stays_coupled_is_named(chunk):
    @seed(chunk)
    @settings(
        max_examples=PROGRAMS // CHUNKS,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(st.integers(0, 2**64 - 1))
    def run(number):
        program = program_of(random.Random("%d %d" % (chunk, number)))
        assume(all(program.rate(i) < 1.0 for i in range(len(program.variables))))
        note(program)
        check(program)

    run()
