"""docs/commands/audit.md: its commands run, its findings are what the examples are told, its code has its finding."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support import reader
from support.legacy_oracles import SCRIPTS
from support.pages import assert_alike, of, runs, runs_all
from support.watching import finding, watched
from tf1_wd.commands.audit.report import CODES

# the example of each finding that the page shows
EXAMPLES = {
    "coupled": "doubly_regularized",
    "inert": "forgotten_regularizers",
    "empty-filter": "estimator_resnet",
    "norm-decayed": "estimator_resnet",
    "bias-decayed": "estimator_resnet",
    "frozen-decayed": "pasted_snippet",
    "already-decoupled": "bert_style_adamw",
}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Function from an example to what `tf1-wd audit` prints of it; each is audited once."""
    printed = {}

    def audit(name):
        if name not in printed:
            words = " ".join(["tf1-wd audit", SCRIPTS[name].path, *SCRIPTS[name].arguments])
            done = reader.shell(words, tmp_path_factory.mktemp(name))
            assert done.returncode == 0, done.stderr
            printed[name] = done.stdout
        return printed[name]

    return audit


@runs_all("docs/commands/audit.md", "")
@pytest.mark.parametrize("shown", of("docs/commands/audit.md", ""), ids=str)
def test_a_finding_on_the_page_is_one_that_an_example_is_told(shown, audited):
    (severity, code) = re.match(r"(\w+) \[([\w-]+)\] ", shown.text).groups()
    assert code in CODES
    told = [line for line in audited(EXAMPLES[code]).splitlines() if line.startswith("%s [%s] " % (severity, code))]
    assert told
    assert_alike(shown.text, told[0])


@runs("docs/commands/audit.md", block="loss = tf.losses.sparse_softmax_cross_entropy")
def test_the_loss_on_the_page_has_the_l2_of_a_kernel_twice_with_the_rates_that_it_says(block):
    # of the regularizer, of the loop, and what the page says of their sum
    first, second, both = (float(number) for number in re.findall(r"\b0\.\d+", block.text))

    def build():
        kernel = tf.get_variable("classes/kernel", [3, 2], regularizer=lambda v: first * tf.nn.l2_loss(v))
        names = dict(tf=tf, logits=tf.matmul(tf.ones([4, 3]), kernel), labels=tf.zeros([4], tf.int64))
        exec(block.text, names)
        tf.train.GradientDescentOptimizer(0.1).minimize(names["loss"])

    report = watched(build)
    assert list(finding(report, "double-counted").variables) == ["classes/kernel"]
    assert [v.rate for v in report.variables] == [pytest.approx(both)]
    assert both == pytest.approx(first + second)


@runs("docs/commands/audit.md", commands="tf1-wd audit train.py")
def test_the_commands_of_the_page_audit_a_program_its_graph_and_its_saved_model(commands, tmp_path):
    reader.write_train(tmp_path)
    trained = reader.shell("python train.py " + " ".join(reader.FLAGS), tmp_path)
    assert trained.returncode == 0, trained.stderr
    os.remove(str(tmp_path / "weights.npy"))
    done = reader.shell(commands.text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\S+): 1 trainable variables, 3 weights; 1 with L2", done.stdout, re.MULTILINE) == [
        "train.py",
        "model.ckpt-1000.meta",
        "1512345678",
    ]
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("w ")]
    assert [row[1:4] for row in rows] == [["3x1", "%g" % reader.RATE, "loss"]] * 3
    norms = [np.linalg.norm(w) for w in (reader.W0, *[reader.trained(0.0, l2=reader.RATE)] * 2)]
    assert [float(row[6]) for row in rows] == [pytest.approx(norm, rel=1e-5) for norm in norms]
    assert not (tmp_path / "weights.npy").exists()  # the program was stopped before it trained
