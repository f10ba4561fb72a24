"""Our stand-ins compute what tf.contrib computed: against numbers from TensorFlow 1.15.5, and there against contrib."""

from __future__ import annotations

import importlib
import json
import pathlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.versions import IS_TF1
from tf1_wd.legacy import install
from tf1_wd.legacy.imports.contrib_finder import load
from tf1_wd.legacy.tables.contrib import MOVES

RECORDED = pathlib.Path(__file__).with_name("contrib_values.json")

# Keras 2's cells, and contrib itself, warn of themselves
pytestmark = pytest.mark.filterwarnings("ignore")


class Ours:
    """Answers a.b with the stand-in for tf.contrib.a.b, on every TensorFlow."""

    def __init__(self, path="tensorflow.contrib"):
        self._path = path

    def __getattr__(self, name):
        full = "%s.%s" % (self._path, name)
        return load(MOVES[full]) if full in MOVES else Ours(full)


class Real:
    """Answers a.b with tf.contrib.a.b."""

    def __getattr__(self, name):
        return importlib.import_module("tensorflow.contrib." + name)


def numbers(*shape, scale=1.0):
    """Numbers that look random, and are the same everywhere."""
    count = int(np.prod(shape))
    return (scale * np.sin(np.arange(count) * 12.9898 + 78.233)).astype(np.float32).reshape(shape)


# their op came with contrib, and is TensorFlow's own since 2.0
WITHOUT_OPS = ["images"] if IS_TF1 else []
LENGTHS = [4, 2, 3]
CASES = {}


def case(function):
    """function(c) builds a graph with tf.contrib or its stand-ins as `c`; returns tensors."""
    CASES[function.__name__] = function
    return function


def cell_case(name, make, size=5):
    def build(c):
        return tf.nn.dynamic_rnn(make(c), tf.constant(numbers(3, 4, size)), LENGTHS, dtype=tf.float32)

    CASES[name] = build


cell_case("LayerNormBasicLSTMCell", lambda c: c.rnn.LayerNormBasicLSTMCell(6))
cell_case("coupled", lambda c: c.rnn.CoupledInputForgetGateLSTMCell(6, use_peepholes=True, num_proj=4, layer_norm=True))
cell_case("NASCell", lambda c: c.rnn.NASCell(6, num_proj=3, use_bias=True))
cell_case("UGRNNCell", lambda c: c.rnn.UGRNNCell(6))
cell_case("SRUCell", lambda c: c.rnn.SRUCell(6))
cell_case("IndRNNCell", lambda c: c.rnn.IndRNNCell(6))
cell_case("LSTMBlockCell", lambda c: c.rnn.LSTMBlockCell(6, use_peephole=True, cell_clip=0.3))
cell_case("GRUBlockCellV2", lambda c: c.rnn.GRUBlockCellV2(6))
cell_case("AttentionCellWrapper", lambda c: c.rnn.AttentionCellWrapper(tf.nn.rnn_cell.LSTMCell(6), 3, 4, 5))
cell_case("HighwayWrapper", lambda c: c.rnn.HighwayWrapper(tf.nn.rnn_cell.LSTMCell(5), False))
cell_case("projections", lambda c: c.rnn.OutputProjectionWrapper(c.rnn.InputProjectionWrapper(_lstm(), 3), 2))


def _lstm(size=4):
    return tf.nn.rnn_cell.LSTMCell(size)


@case
def conv_lstm(c):
    cell = c.rnn.Conv2DLSTMCell(input_shape=[4, 4, 2], output_channels=3, kernel_shape=[3, 3], skip_connection=False)
    return tf.nn.dynamic_rnn(cell, tf.constant(numbers(2, 3, 4, 4, 2)), dtype=tf.float32)


@case
def fused_lstm_backwards(c):
    cell = c.rnn.TimeReversedFusedRNN(c.rnn.LSTMBlockFusedCell(6))
    return cell(tf.constant(numbers(4, 3, 5)), dtype=tf.float32, sequence_length=tf.constant(LENGTHS))


@case
def stacked_bidirectional(c):
    cells = [[_lstm(), _lstm()] for _ in range(2)]
    return c.rnn.stack_bidirectional_dynamic_rnn(*cells, tf.constant(numbers(3, 4, 5)), dtype=tf.float32)


@case
def crf(c):
    inputs, tags = tf.constant(numbers(3, 4, 5)), tf.constant([[0, 1, 2, 3], [4, 3, 2, 1], [1, 1, 0, 4]])
    likelihood, transitions = c.crf.crf_log_likelihood(inputs, tags, tf.constant(LENGTHS))
    decoded = c.crf.crf_decode(inputs, transitions, tf.constant(LENGTHS))
    allowed = tf.constant(numbers(3, 4, 5) > -0.5)
    several = c.crf.crf_multitag_sequence_score(inputs, allowed, tf.constant(LENGTHS), transitions)
    return likelihood, decoded, several, tf.gradients(likelihood, [inputs, transitions])


def _decoder(c, mechanism, beam=None, **options):
    memory, lengths = tf.placeholder_with_default(numbers(3, 6, 5), [None, 6, 5]), tf.constant([6, 2, 4])
    if beam:
        memory, lengths = c.seq2seq.tile_batch(memory, beam), c.seq2seq.tile_batch(lengths, beam)
    attention = getattr(c.seq2seq, mechanism)(7, memory, memory_sequence_length=lengths, **options)
    cell = c.seq2seq.AttentionWrapper(
        tf.nn.rnn_cell.GRUCell(7), attention, attention_layer_size=5, alignment_history=True
    )
    return cell, cell.zero_state(tf.shape(memory)[0], tf.float32)


@case
def attention_training(c):
    results = []
    for mechanism, options in (("BahdanauAttention", {"normalize": True}), ("LuongAttention", {"scale": True})):
        with tf.variable_scope(mechanism):
            cell, state = _decoder(c, mechanism, **options)
            helper = c.seq2seq.TrainingHelper(tf.constant(numbers(3, 4, 6)), LENGTHS)
            decoder = c.seq2seq.BasicDecoder(cell, helper, state, tf.layers.Dense(8))
            outputs, state, lengths = c.seq2seq.dynamic_decode(decoder, impute_finished=True)
            weights = tf.sequence_mask(LENGTHS, 4, dtype=tf.float32)
            loss = c.seq2seq.sequence_loss(outputs.rnn_output, tf.ones([3, 4], tf.int32), weights)
            results += [outputs, lengths, state.alignment_history.stack(), loss]
    return results


@case
def greedy_decoding(c):
    cell, state = _decoder(c, "BahdanauAttention")
    helper = c.seq2seq.GreedyEmbeddingHelper(tf.constant(numbers(8, 6)), tf.constant([1, 2, 3]), 5)
    decoder = c.seq2seq.BasicDecoder(cell, helper, state, tf.layers.Dense(8))
    return c.seq2seq.dynamic_decode(decoder, maximum_iterations=7)[::2]


@case
def beam_search(c):
    cell, state = _decoder(c, "BahdanauAttention", beam=3)
    decoder = c.seq2seq.BeamSearchDecoder(
        cell,
        tf.constant(numbers(8, 6)),
        tf.constant([1, 2, 3]),
        5,
        state,
        3,
        tf.layers.Dense(8),
        length_penalty_weight=0.7,
        coverage_penalty_weight=0.2,
    )
    outputs, state, lengths = c.seq2seq.dynamic_decode(decoder, maximum_iterations=6)
    return outputs.predicted_ids, state.log_probs, lengths, state.cell_state.attention


@case
def tree_of_broken_beams(c):
    ids = tf.constant([[[1, 2, 3], [1, 2, 3]], [[4, 5, 9], [4, 5, 6]], [[7, 8, 9], [7, 8, 9]]])
    parents = tf.constant([[[0, 0, 0], [0, 0, 0]], [[0, 1, 1], [2, 1, 0]], [[2, 1, 2], [1, 0, 2]]])
    return c.seq2seq.gather_tree(ids, parents, tf.constant([3, 2]), 9)


@case
def legacy_attention_model(c):
    encoder, decoder = ([tf.constant([i, i + 1]) for i in range(n)] for n in (3, 4))
    outputs, state = c.legacy_seq2seq.embedding_attention_seq2seq(
        encoder, decoder, _lstm(), 6, 7, 5, num_heads=2, feed_previous=tf.constant(True)
    )
    weights = [tf.constant([1.0, 0.5])] * 4
    losses = c.legacy_seq2seq.sequence_loss_by_example(outputs, decoder, weights)
    return outputs, state, losses, c.legacy_seq2seq.sequence_loss(outputs, decoder, weights)


@case
def images(c):
    image = tf.constant(numbers(2, 6, 5, 3))
    flow = tf.constant(numbers(2, 6, 5, 2, scale=2.0))
    turned = c.image.rotate(image, [0.3, -1.2], interpolation="BILINEAR")
    both = c.image.compose_transforms(
        c.image.angles_to_projective_transforms(0.4, 6.0, 5.0),
        c.image.translations_to_projective_transforms([1.0, 2.0]),
    )
    moved = c.image.translate(image, [[1.0, 2.0], [-2.0, 0.0]])
    return turned, c.image.transform(image, both), moved, c.image.dense_image_warp(image, flow)


@case
def words(c):
    ids = tf.constant([[1, 2, 2], [0, 3, 0]])
    looked_up = c.layers.embed_sequence(ids, 5, 4, unique=True), c.layers.bow_encoder(ids, 5, 4)
    return (*looked_up, c.layers.bow_encoder(ids, 5, 4, sparse_lookup=False, scope="dense"))


@case
def functions(c):
    x = tf.constant(numbers(3, 4))
    return c.nn.scaled_softplus(x, 0.7, clip=0.8), c.framework.reduce_sum_n([x, x])


@case
def diagonal_normal(c):
    a = c.distributions.MultivariateNormalDiag(numbers(2, 3), 1.5 + numbers(2, 3))
    b = c.distributions.MultivariateNormalDiag(numbers(2, 3)[::-1], 2.5 + numbers(2, 3))
    kl = c.distributions.kl_divergence(a, b)
    return a.log_prob(numbers(2, 3) + 0.3), a.entropy(), a.mean(), a.variance(), kl


def optimizer_case(name, make):
    def build(c):
        table = tf.get_variable("table", [5, 3])
        dense = tf.get_variable("dense", [3])
        # gradients that read no weights: contrib's decay runs beside them, in either order
        loss = tf.reduce_sum(tf.gather(table, [1, 3, 3]) * numbers(3, 3)) + tf.reduce_sum(dense * numbers(3))
        return table, dense, make(c).minimize(loss)

    CASES[name] = build


optimizer_case("NadamOptimizer", lambda c: c.opt.NadamOptimizer(0.1))
optimizer_case("AdaMaxOptimizer", lambda c: c.opt.AdaMaxOptimizer(0.1))
optimizer_case("LazyAdamOptimizer", lambda c: c.opt.LazyAdamOptimizer(0.1))
optimizer_case("AdamWOptimizer", lambda c: c.opt.AdamWOptimizer(0.05, 0.1))
optimizer_case("MomentumWOptimizer", lambda c: c.opt.MomentumWOptimizer(0.05, 0.1, 0.9))
optimizer_case(
    "extended",
    # of a table, contrib decays nothing under gradient descent; see test_contrib_optimizers.py
    lambda c: c.opt.extend_with_decoupled_weight_decay(tf.train.AdagradOptimizer)(0.05, learning_rate=0.1),
)
optimizer_case(
    "loss_scale",
    lambda c: c.mixed_precision.LossScaleOptimizer(
        tf.train.AdamOptimizer(0.1), c.mixed_precision.ExponentialUpdateLossScaleManager(8.0, 2)
    ),
)


def values(build, contrib, use_resource=None):
    """All numbers of a case after three runs of its train_op, and the names and shapes of its variables."""
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.variable_scope("", use_resource=use_resource):
            fetches = build(contrib)
        flat = [f for f in tf.nest.flatten(fetches)]
        ops = [f for f in flat if isinstance(f, tf.Operation)]
        session.run(tf.global_variables_initializer())
        trained = sorted(tf.trainable_variables(), key=lambda v: v.op.name)
        for i, v in enumerate(trained):
            v.load(numbers(*v.shape.as_list(), scale=0.5 + 0.1 * i), session)
        for _ in range(3 if ops else 0):
            session.run(ops)
        results = session.run([f for f in flat if not isinstance(f, tf.Operation)])
        shapes = {v.op.name: v.shape.as_list() for v in trained}
    return shapes, [digest(r) for r in results]


def digest(array):
    """The shape of an array and a few numbers that change with any of its entries."""
    flat = np.asarray(array, np.float64).ravel()
    weights = np.cos(np.arange(len(flat)) * 0.7)
    return [*np.shape(array)], [float(np.sum(flat)), float(np.sum(flat * weights)), float(np.sum(np.abs(flat)))]


def assert_same(found, expected):
    assert found[0] == expected[0]
    assert len(found[1]) == len(expected[1])
    for (shape, numbers_found), (expected_shape, numbers_expected) in zip(found[1], expected[1]):
        assert list(shape) == list(expected_shape)
        np.testing.assert_allclose(numbers_found, numbers_expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_stand_in_computes_what_contrib_did(name):
    expected = json.loads(RECORDED.read_text())[name]
    if name not in WITHOUT_OPS:
        with install():
            assert_same(values(CASES[name], Ours()), expected)
    if IS_TF1:
        assert_same(values(CASES[name], Real()), expected)


@pytest.mark.parametrize("name", ["NadamOptimizer", "AdaMaxOptimizer", "LazyAdamOptimizer"])
def test_an_optimizer_trains_resource_variables_as_it_does_others(name):
    with install():
        assert_same(values(CASES[name], Ours(), use_resource=True), json.loads(RECORDED.read_text())[name])


if __name__ == "__main__":  # on TensorFlow 1.15.5: writes what contrib computes
    recorded = {name: values(build, Real()) for name, build in sorted(CASES.items())}
    RECORDED.write_text(json.dumps(recorded, indent=0) + "\n")
