"""Times the audit of graphs of 1,000, 3,000 and 10,000 variables, and shows that it grows with the graph, no faster.

Usage: python benchmarks/audit.py [--variables 1000 3000 10000] [--clip] [--json FILE]

The program is a net of small dense layers with L2 of every second variable in the loss, under SGD: 15 nodes a variable.
Timed is what audit adds to the program ("watched": analysis of what was seen being built, report, text), and the whole
audit of the same graph from a .meta file ("file": reading, import, analysis, report, text). Seconds are those of the
CPU; on a machine with nothing else to do they are those of the clock. Each size is measured in a process of its own.
--clip puts clip_by_global_norm between gradients and update. Each report is checked: rates, findings, variables.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow.compat.v1 as tf

from tf1_wd.commands.audit import assemble, text
from tf1_wd.commands.audit.watched import Observer
from tf1_wd.decay.scope import hooks
from tf1_wd.plan import text_table

RATE, LR = 0.0625, 0.125


def build(count, clip):
    """A train_op of `count` variables; returns the variables that have L2."""
    x, weights = tf.ones([1, 2]), []
    for i in range(0, count, 2):
        with tf.variable_scope("layer%d" % i):
            w = tf.get_variable("w", [2, 2], initializer=tf.zeros_initializer())
            b = tf.get_variable("b", [2], initializer=tf.zeros_initializer())
        x = tf.matmul(x, w) + b
        weights.append(w)
    loss = tf.reduce_sum(x) + RATE * tf.add_n([tf.nn.l2_loss(w) for w in weights])
    optimizer = tf.train.GradientDescentOptimizer(LR)
    gradients, variables = zip(*optimizer.compute_gradients(loss))
    if clip:
        gradients, _ = tf.clip_by_global_norm(gradients, 5.0)
    optimizer.apply_gradients(zip(gradients, variables))
    return weights


def check(report, weights, count):
    """The report must be right before its time counts."""
    names = {w.op.name for w in weights}
    assert len(report.variables) == count, len(report.variables)
    assert {v.name for v in report.variables if v.rate == RATE} == names, [v for v in report.variables if v.rate][:3]
    assert report.codes == (), report.findings


def measure(count, clip):
    """(nodes, seconds of building, seconds of the watched audit, seconds of the file's)."""
    with tf.Graph().as_default() as where, tempfile.TemporaryDirectory() as folder:
        observer, start = Observer(), time.process_time()
        hooks.listen(observer)
        weights = build(count, clip)
        hooks.forget()
        built = time.process_time()
        report = assemble.audit_facts("watched", [observer.facts(where)])
        text.text(report)
        watched = time.process_time()
        check(report, weights, count)
        path = os.path.join(folder, "graph.meta")
        tf.train.export_meta_graph(path)
        exported = time.process_time()
        report = assemble.audit_file(path)
        text.text(report)
        done = time.process_time()
        check(report, weights, count)
        return len(where.get_operations()), built - start, watched - built, done - exported


def measure_alone(count, clip):
    """`measure`, in a fresh process: first the imports and first calls, then what is timed."""
    tf.disable_v2_behavior()
    sys.setrecursionlimit(10000)
    measure(100, clip)
    return measure(count, clip)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variables", type=int, nargs="+", default=[1000, 3000, 10000])
    parser.add_argument("--clip", action="store_true", help="clip_by_global_norm before the update")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    args = parser.parse_args()
    rows = []
    for count in args.variables:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            nodes, building, watched, file = pool.apply(measure_alone, (count, args.clip))
        per = [1e6 * seconds / nodes for seconds in (watched, file)]
        rows.append((count, nodes, *(round(x, 2) for x in (building, watched, file)), *(round(x) for x in per)))
        print(*rows[-1], file=sys.stderr, flush=True)
    header = ("variables", "nodes", "building CPU s", "watched CPU s", "file CPU s", "watched us/node", "file us/node")
    print("TensorFlow %s, %d cores" % (tf.version.VERSION, os.cpu_count()))
    print(text_table.table(rows, header))
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"tensorflow": tf.version.VERSION, "rows": [dict(zip(header, row)) for row in rows]}, file)


if __name__ == "__main__":
    main()
