"""Audits of files: graphs, saved models, checkpoints beside them."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support.watching import RATE, collected, data, from_file, sgd, weights
from tf1_wd import errors
from tf1_wd.commands.audit import assemble


def test_norms_are_those_of_the_checkpoint_beside_the_graph(kind, tmp_path):
    w = weights()
    sgd(data(w) + collected(w))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path / "model"))
    assert assemble.audit_file(path + ".meta").variables[0].norm == pytest.approx(6**0.5)
    assert assemble.audit_file(path + ".meta", path).variables[0].norm == pytest.approx(6**0.5)


def test_a_saved_model_is_read_with_its_weights(kind, tmp_path):
    w = weights(regularizer=collected)
    x = tf.placeholder(tf.float32, [None, 2])
    folder = str(tmp_path / "saved")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        tf.saved_model.simple_save(session, folder, {"x": x}, {"y": tf.matmul(x, w)})
    report = assemble.audit_file(folder)
    (v,) = report.variables
    assert (v.name, v.kind, v.rate, v.place) == ("w", kind, RATE, "collection")
    assert v.norm == pytest.approx(6**0.5)
    assert v.frozen


def test_a_graph_that_decays_by_a_scope_is_told_to(kind, backend, tmp_path):
    def build():
        w = weights()
        with tf1_wd.decoupled_weight_decay(backend=backend):
            sgd(data(w) + collected(w))

    report = from_file(build, tmp_path)
    assert report.codes == ()
    assert any("tf1_wd decays weights in this graph" in note for note in report.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"", "is no .meta file"), (b"\x00\x01 text", "is no .meta file")],
)
def test_what_is_no_graph_is_named(content, message, tmp_path):
    path = tmp_path / "graph.meta"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.AuditError, match=message) as error:
        assemble.audit_file(str(path))
    assert str(path) in str(error.value)


def test_a_graph_without_trainable_variables_is_refused(tmp_path):
    with pytest.raises(errors.AuditError, match="no trainable variables"):
        from_file(lambda: tf.constant(1.0), tmp_path)
