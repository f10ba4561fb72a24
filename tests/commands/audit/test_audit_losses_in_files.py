"""L2 in the loss of a graph from a file: in all words that are L2, and in none that look like it.

The rates are worked out by hand: a term of gradient r w has the rate r.
"""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

from support.watching import LR, finding, from_file, watched, weights
from tf1_wd.commands.audit import assemble

SIZE = 6  # of the weights


def model(w):
    """A loss of weights and of what is fed."""
    x = tf.placeholder(tf.float32, [None, 2])
    return tf.reduce_mean(tf.nn.softplus(tf.matmul(x, w)))


def minimized(loss):
    return tf.train.AdamOptimizer(LR).minimize(loss)


L2 = {
    "a power": (lambda w: 0.25 * tf.reduce_sum(w**2), 0.5),
    "a square": (lambda w: 0.25 * tf.reduce_sum(tf.square(w)), 0.5),
    "of the negative": (lambda w: 0.5 * tf.nn.l2_loss(-w), 0.5),
    "a norm, squared": (lambda w: 0.25 * tf.norm(w) ** 2, 0.5),
    "the square of a norm": (lambda w: 0.25 * tf.square(tf.norm(w)), 0.5),
    "a global norm, squared": (lambda w: 0.25 * tf.global_norm([w]) ** 2, 0.5),
    "a root, squared": (lambda w: 0.25 * tf.sqrt(tf.reduce_sum(w * w)) ** 2, 0.5),
    "a mean": (lambda w: 0.75 * tf.reduce_mean(tf.squared_difference(w, 0.0)), 1.5 / SIZE),
    "a product": (lambda w: 0.25 * tf.einsum("ij,ij->", w, w), 0.5),
    "a regularizer of Keras": (lambda w: tf.keras.regularizers.l2(0.25)(w), 0.5),
    "joined to itself": (lambda w: 0.25 * tf.nn.l2_loss(tf.concat([w, w], 0)), 0.5),
    "divided": (lambda w: tf.nn.l2_loss(w) / 4.0, 0.25),
    "times what is fed": (lambda w: tf.placeholder_with_default(0.5, []) * tf.nn.l2_loss(w), "run time"),
    "by a model that moves its mean away": (
        lambda w: model(w - tf.reduce_mean(w)) + 0.5 * tf.nn.l2_loss(w),
        0.5,
    ),
    "beside weight normalization": (lambda w: model(w / tf.norm(w)) + 0.5 * tf.nn.l2_loss(w), 0.5),
    "beside a term of its own norm": (lambda w: tf.norm(w) + 0.5 * tf.nn.l2_loss(w), 0.5),
}
NO_RATE = {
    "a norm": lambda w: 0.25 * tf.norm(w),
    "a square of a square": lambda w: 0.25 * tf.reduce_sum(w * w) ** 2,
    "a logarithm": lambda w: tf.log(1.0 + tf.nn.l2_loss(w)),
    "a hinge": lambda w: 0.5 * tf.nn.relu(tf.nn.l2_loss(w) - 1.0),
    "a cube": lambda w: tf.reduce_sum(tf.abs(w) ** 3),
    "L1": lambda w: tf.reduce_sum(tf.abs(w)),
    "a distance": lambda w: tf.nn.l2_loss(w - 0.5),
    "a slice": lambda w: tf.nn.l2_loss(w[1:]),
    "a term that is held back": lambda w: tf.stop_gradient(tf.nn.l2_loss(w)),
    "weight normalization": lambda w: model(w / tf.norm(w)),
    "weight normalization by a sum": lambda w: model(w / tf.sqrt(tf.reduce_sum(w * w))),
    "l2_normalize": lambda w: model(tf.nn.l2_normalize(w, 0)),
    "clipped weights": lambda w: model(tf.clip_by_norm(w, 1.0)),
    "centered weights": lambda w: model(w - tf.reduce_mean(w)),
    "squared weights": lambda w: model(w * w),
    "activations": lambda w: 0.5 * tf.nn.l2_loss(tf.matmul(tf.placeholder(tf.float32, [None, 2]), w)),
}


@pytest.mark.parametrize("name", L2)
def test_l2_has_its_rate(name, kind, tmp_path):
    penalty, rate = L2[name]

    def build():
        w = weights()
        minimized(model(w) + penalty(w))

    for report in (watched(build), from_file(lambda: None, tmp_path)):
        (v,) = report.variables
        assert (v.rate, v.place) == (rate if rate == "run time" else pytest.approx(rate), "loss")
        assert report.codes == ("coupled",)


@pytest.mark.parametrize("name", NO_RATE)
def test_what_is_no_multiple_of_the_weights_has_none(name, kind, tmp_path):
    def build():
        w = weights()
        minimized(model(w) + NO_RATE[name](w))

    for report in (watched(build), from_file(lambda: None, tmp_path)):
        assert (report.variables[0].rate, report.codes) == (None, ())


# --- ways to train


def by_tf_gradients(loss, w, **options):
    return [(gradient, w) for gradient in tf.gradients(loss, [w], **options)]


def clipped(loss, w):
    return list(zip(tf.clip_by_global_norm(tf.gradients(loss, [w]), 1.0)[0], [w]))


def a_loss_scale(loss, w):
    return [(gradient / 8.0, w) for gradient in tf.gradients(8.0 * loss, [w])]


def two_towers(loss, w):
    losses = [loss, model(w) + 0.25 * tf.norm(w) ** 2]
    return [(sum(tf.gradients(one, w)[0] for one in losses) / 2.0, w)]


def a_penalty_on_the_gradient(loss, w):
    inner = tf.gradients(model(w), w)[0]
    return by_tf_gradients(loss + tf.reduce_sum(tf.square(inner)), w)


def guarded(loss, w):
    return by_tf_gradients(tf.where(tf.is_nan(loss), tf.zeros([]), tf.identity(loss)), w)


def beside_a_loop(loss, w):
    x = tf.placeholder(tf.float32, [None, 2])
    product = tf.scan(lambda before, row: tf.tanh(before + tf.matmul(row[None], w)), x, tf.zeros([1, 3]))
    return by_tf_gradients(loss + tf.reduce_mean(product), w)


PAIRS = {
    "compute_gradients": (lambda loss, w: tf.train.AdamOptimizer(LR).compute_gradients(loss, [w]), 0.5),
    "tf.gradients": (by_tf_gradients, 0.5),
    "in a scope of a name": (lambda loss, w: by_tf_gradients(loss, w, name="mine"), 0.5),
    "of several losses": (lambda loss, w: by_tf_gradients([loss, 0.5 * tf.nn.l2_loss(w)], w), 1.0),
    "weighted": (lambda loss, w: by_tf_gradients(loss, w, grad_ys=tf.constant(3.0)), 1.5),
    "of the loss twice": (lambda loss, w: by_tf_gradients(loss + loss, w), 1.0),
    "multiplied": (lambda loss, w: [(2.0 * gradient, w) for gradient in tf.gradients(loss, w)], 1.0),
    "clipped": (clipped, 0.5),
    "by a loss scale": (a_loss_scale, 0.5),
    "of two towers": (two_towers, 0.5),
    "of a loss of gradients": (a_penalty_on_the_gradient, 0.5),
    "with the penalty as a constant": (
        lambda loss, w: by_tf_gradients(loss, w, stop_gradients=[loss.op.inputs[1]]),
        None,
    ),
    "with more L2 by hand": (lambda loss, w: [(g + 0.25 * w, w) for g in tf.gradients(loss, w)], 0.75),
    "of a difference": (lambda loss, w: by_tf_gradients(loss - model(w) - model(2.0 * w), w), 0.5),
    "beside a loop": (beside_a_loop, 0.5),
    "guarded": (guarded, "run time"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_loss_is_found_behind_gradients(name, kind, tmp_path):
    pairs, rate = PAIRS[name]

    def build():
        w = weights()
        loss = model(w) + 0.5 * tf.nn.l2_loss(-w)
        tf.train.AdamOptimizer(LR).apply_gradients(pairs(loss, w))

    (v,) = from_file(build, tmp_path).variables
    assert v.rate == (pytest.approx(rate) if isinstance(rate, float) else rate)


def test_a_loss_is_found_in_a_graph_that_was_imported_under_a_name(kind, tmp_path):
    w = weights()
    minimized(model(w) + 0.25 * tf.norm(w) ** 2)
    inner, outer = str(tmp_path / "inner.meta"), str(tmp_path / "outer.meta")
    tf.train.export_meta_graph(inner)
    with tf.Graph().as_default():
        tf.train.import_meta_graph(inner, import_scope="name/of_it")
        tf.train.export_meta_graph(outer)
    (v,) = assemble.audit_file(outer).variables
    assert (v.name, v.rate) == ("name/of_it/w", pytest.approx(0.5))


def test_two_terms_are_told_to_be_two_and_copies_are_not(kind, tmp_path):
    def build(factor):
        w = weights()
        minimized(model(w) + 0.5 * tf.nn.l2_loss(w) + factor * tf.nn.l2_loss(w))

    report = from_file(lambda: build(0.25), tmp_path)
    assert report.variables[0].rate == 0.75
    assert "the loss holds L2Loss and L2Loss_1" in finding(report, "double-counted").sentence
    with tf.Graph().as_default():
        assert from_file(lambda: build(0.5), tmp_path).codes == ("coupled",)


# --- what the graph does not tell


def renamed(path, old, new):
    """Writes a graph again with `new` for `old` in the names of its ops."""
    message = tf.MetaGraphDef()
    with open(path, "rb") as source:
        message.ParseFromString(source.read())
    for node in message.graph_def.node:
        node.name = node.name.replace(old, new)
        node.input[:] = [name.replace(old, new) for name in node.input]
        node.attr.pop("_class", None)  # where it is to be placed
    with open(path, "wb") as target:
        target.write(message.SerializeToString())


def test_a_graph_of_a_tensorflow_that_names_no_seeds_is_read_by_the_scope_of_its_gradients(kind, tmp_path):
    w = weights()
    minimized(model(w) + 0.25 * tf.norm(w) ** 2)
    path = str(tmp_path / "graph.meta")
    tf.train.export_meta_graph(path)
    renamed(path, "grad_ys_0", "ones")
    assert assemble.audit_file(path).variables[0].rate == pytest.approx(0.5)


def test_where_names_tell_no_loss_no_rate_is_told(kind, tmp_path):
    w = weights()
    minimized(model(w) + 0.5 * tf.nn.l2_loss(w))
    path = str(tmp_path / "graph.meta")
    tf.train.export_meta_graph(path)
    renamed(path, "L2Loss_grad/", "L2Loss_was_grad/")
    report = assemble.audit_file(path)
    (v,) = report.variables
    assert v.rate == "unknown"
    assert v.why == "the loss of the gradients in gradients cannot be read off the graph: give the program"
    assert v.why in finding(report, "ambiguous").sentence


def test_a_gradient_that_is_fed_and_an_assignment_are_told_to_be_unknown(kind, tmp_path):
    def build():
        w, u, v = weights(), weights("u"), weights("v")
        fed = tf.placeholder(tf.float32, [2, 3], name="fed")
        tf.train.AdamOptimizer(LR).apply_gradients([(fed, w)])
        tf.assign_sub(u, LR * tf.gradients(model(u) + 0.5 * tf.nn.l2_loss(u), u)[0])
        tf.assign_sub(v, LR * tf.gradients(model(v), v)[0])

    found = {v.name: v for v in from_file(build, tmp_path).variables}
    assert found["w"].why == "its gradient is made of what is fed through fed"
    assert found["u"].why.endswith("an assignment, and how much of the gradient that takes is not known")
    assert [found[name].rate for name in "wuv"] == ["unknown", "unknown", None]


def test_gradients_that_are_added_up_in_a_variable_are_unknown(kind, tmp_path):
    def build():
        w = weights()
        total = tf.get_variable("total", [2, 3], trainable=False)
        tf.assign_add(total, tf.gradients(model(w) + 0.5 * tf.nn.l2_loss(w), w)[0])
        tf.train.AdamOptimizer(LR).apply_gradients([(tf.identity(total) / 4.0, w)])

    report = from_file(build, tmp_path)
    assert report.variables[0].rate == "unknown"
    assert "accumulation" in finding(report, "ambiguous").sentence


def test_rates_of_replicas_add_up_and_in_a_file_they_are_unknown(tmp_path):
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])

    def build():
        with strategy.scope():
            w, optimizer = weights(), tf.train.AdamOptimizer(LR)
            run = getattr(strategy, "run", None) or strategy.experimental_run_v2
            run(lambda: optimizer.minimize(model(w) + 0.5 * tf.nn.l2_loss(w)))

    report = watched(build)
    assert {v.name: v.rate for v in report.variables} == {"w": 1.0, "w/replica_1": 1.0}
    assert report.codes == ("coupled",)
    (v,) = from_file(lambda: None, tmp_path).variables
    assert v.rate == "unknown"
    assert "gradients of w/replica_1 too" in v.why
