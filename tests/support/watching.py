"""Programs for the audit to look at, and its report on them."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

from tf1_wd.commands.audit import assemble
from tf1_wd.commands.audit.watched import Observer
from tf1_wd.decay.scope import hooks

RATE, LR = 0.25, 0.125


def watched(build, *arguments):
    """The report on what `build` builds, as a program's would be."""
    observer = Observer()
    hooks.listen(observer)
    try:
        build(*arguments)
    finally:
        hooks.forget()
    return assemble.audit_facts("test", [observer.facts(tf.get_default_graph())])


def from_file(build, tmp_path):
    """The report on the same graph, from a .meta file."""
    build()
    path = str(tmp_path / "graph.meta")
    tf.train.export_meta_graph(path)
    return assemble.audit_file(path)


def by_name(report):
    return {variable.name: variable for variable in report.variables}


def finding(report, code):
    found = [f for f in report.findings if f.code == code]
    assert len(found) == 1, report.findings
    return found[0]


def weights(name="w", shape=(2, 3), **arguments):
    return tf.get_variable(name, shape, initializer=tf.ones_initializer(), **arguments)


def adam(loss, **arguments):
    return tf.train.AdamOptimizer(LR).minimize(loss, **arguments)


def sgd(loss, **arguments):
    return tf.train.GradientDescentOptimizer(LR).minimize(loss, **arguments)


def data(*variables):
    """A loss that is no penalty."""
    return tf.add_n([tf.reduce_sum(tf.sin(v)) for v in variables])


def collected(v):
    return RATE * tf.nn.l2_loss(v)


def regularization():
    return tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))


def clip(gradients):
    return tf.clip_by_global_norm(gradients, 1.0)[0]
