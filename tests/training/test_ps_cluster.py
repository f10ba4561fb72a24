"""Parameter servers and workers as processes: as many decays as applied updates, whoever is killed on the way."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

import tf1_wd
from support import reader
from support.page_tables import rows
from support.pages import ROOT, assert_alike, runs
from tf1_wd import errors
from tf1_wd.graph.walk import predecessors
from tf1_wd.native import choose, decay

# deprecated, for distribution strategies, which parameter servers are not
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

EXAMPLE = str(ROOT / "legacy_examples" / "ps_cluster")
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(tf1_wd.__file__)))
RATE = 0.05


def python(*arguments, **environment):
    """(exit code, what Python prints on stdout) in a process that finds this package and the example."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([PACKAGE, EXAMPLE]), **environment)
    done = subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, env=environment, text=True, timeout=900)
    return done.returncode, done.stdout


def launch(*arguments):
    return python(os.path.join(EXAMPLE, "launch.py"), *arguments)


def updates_and_decays(output):
    """The applied updates, and how often the witness on each parameter server decayed."""
    updates = re.search(r"^applied updates \(global step\): (\d+)$", output, re.MULTILINE)
    decays = re.findall(r"^decays of witness/part_\d: (\d+) ", output, re.MULTILINE)
    return int(updates.group(1)), [int(n) for n in decays]


# --- whole clusters


@runs("legacy_examples/ps_cluster/README.md", command="python legacy_examples", shown="starting 2 parameter servers")
def test_a_synchronous_cluster_of_200_steps_trains_as_numpy_does(command, shown, tmp_path):
    reader.examples(tmp_path)
    done = reader.shell(command.text, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert updates_and_decays(done.stdout) == (200, [200, 200])
    measured = r"(?<=TensorFlow )[\d.]+|(?<=by worker: )\d+, \d+|\b\de-0[78]|(?<=accuracy: )0\.\d{3}"
    assert_alike(shown.text, done.stdout, measured)


def test_a_synchronous_cluster_with_the_compiled_op_trains_as_numpy_does():
    code, output = launch("--sync", "--backend", "native", "--kind", "reference", "--steps", "60")
    assert code == 0, output
    assert updates_and_decays(output) == (60, [60, 60])
    assert len(re.findall(r"(weights|biases) differ from NumPy's by \de-0[78] ", output)) == 4


def test_an_asynchronous_cluster_of_200_steps_decays_once_an_update():
    code, output = launch("--async", "--backend", "tensorflow", "--kind", "resource", "--order", "before")
    assert code == 0, output
    updates, decays = updates_and_decays(output)
    assert updates >= 200
    assert decays == [updates, updates]
    runs = [int(n) for n in re.search(r"by worker: (\d+), (\d+)$", output, re.MULTILINE).groups()]
    assert sum(runs) == updates
    assert min(runs) > 0


def test_a_killed_and_restarted_worker_of_an_asynchronous_cluster_loses_and_repeats_no_decay():
    code, output = launch("--async", "--ps", "1", "--backend", "native", "--kind", "resource", "--kill-at", "60")
    assert code == 0, output
    assert "worker 1 was killed after 60 updates" in output
    updates, decays = updates_and_decays(output)
    assert updates >= 200
    assert decays == [updates]


def test_a_killed_and_restarted_worker_leaves_a_synchronous_training_as_it_would_have_been():
    code, output = launch("--sync", "--ps", "1", "--order", "before", "--kill-at", "20", "--steps", "60")
    assert code == 0, output
    assert "worker 1 was killed after 20 updates" in output
    assert updates_and_decays(output) == (60, [60])
    assert len(re.findall(r"(weights|biases) differ from NumPy's by \de-0[78] ", output)) == 4


def test_a_killed_chief_goes_on_from_its_checkpoint_with_the_decays_of_the_checkpoint():
    code, output = launch(
        "--sync", "--ps", "1", "--backend", "native", "--kill-at", "60", "--kill-chief", "--steps", "90"
    )
    assert code == 0, output
    assert "worker 0 was killed after 60 updates" in output
    assert updates_and_decays(output) == (90, [90])


@runs("legacy_examples/ps_cluster/README.md", shown="tf1_wd.errors.NativeOpError")
def test_a_parameter_server_that_has_not_loaded_the_op_is_named_before_training(shown):
    *_, (options, _) = rows(ROOT / "legacy_examples/ps_cluster/README.md")
    code, output = launch("--async", *options.strip("`").split())
    assert code == 1
    assert "Op type not registered" not in output
    assert_alike(shown.text, output[output.index("tf1_wd.errors.NativeOpError") :], r"worker \d")


def test_the_check_of_the_example_fails_when_a_decay_is_missing_or_one_too_many_or_elsewhere():
    code, output = python("-c", REPORTS)
    assert code == 0
    assert output.strip().split("\n")[-1] == str([True] + 6 * [False])


# What the check says of an exact training of 5 steps in NumPy, then of six that went wrong.
REPORTS = """
import argparse, check, train
args = argparse.Namespace(sync=True, kill_chief=False, workers=2, ps=2, steps=5, kind="", order="after", backend="")
start = check.joined(check.read_variables(args))
shards = [train.shard(index, 2) for index in range(2)]

def trained(steps=5, order="after", decays=(5, 5), updates=5):
    weights = check.replay(dict(start), shards, steps, order)
    witness = {"witness/part_%d" % i: 0.95 ** check.np.full([1], n) for i, n in enumerate(decays)}
    return dict(weights, global_step=updates, **witness)

def passes(values, runs=(5, 5)):
    return bool(check.report(values, list(runs), args)[1])

wrong = [trained(decays=(5, 4)), trained(decays=(6, 5)), trained(order="before"), trained(steps=4), trained(updates=6)]
print([passes(trained())] + [passes(values) for values in wrong] + [passes(trained(), (5, 6))])
"""


# --- what is built


def build(kind, backend, optimizer):
    """The ops that a decay consists of, on two parameter servers, and its plan."""
    cluster = tf.train.ClusterSpec({"ps": ["a:1", "b:1"], "worker": ["c:1", "d:1"]})
    with tf.device(tf.train.replica_device_setter(cluster=cluster, worker_device="/job:worker/task:1")):
        parts = tf.fixed_size_partitioner(2)
        w = tf.get_variable("w", [4, 3], partitioner=parts)
        v = tf.get_variable("v", [3], regularizer=lambda v: RATE * tf.nn.l2_loss(v))
        loss = tf.reduce_sum(tf.matmul(tf.ones([2, 4]), w) * v) + RATE * tf.nn.l2_loss(w)
        loss += tf.losses.get_regularization_loss()
        step = tf.train.get_or_create_global_step()
        with tf1_wd.decoupled_weight_decay(backend=backend) as scope:
            optimizer.minimize(loss, step)
    return [op for op in tf.get_default_graph().get_operations() if "weight_decay" in op.name], scope.plan


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
def test_the_decay_runs_on_the_server_that_holds_the_variable(kind, backend, sync):
    optimizer = tf.train.AdamOptimizer()
    ops, plan = build(kind, backend, tf.train.SyncReplicasOptimizer(optimizer, 2, 2) if sync else optimizer)
    assert [d.name for d in plan.decaying] == ["w/part_0", "w/part_1", "v"]
    assert {task(op) for op in ops} == {("ps", 0), ("ps", 1)}
    for d in plan.decaying:
        consumers = [op for op in d.variable.op.outputs[0].consumers() if op in ops]
        assert consumers
        assert {task(op) for op in consumers} == {task(d.variable)}


def task(x):
    device = tf.DeviceSpec.from_string(x.device)
    return device.job, device.task


def test_a_synchronous_update_needs_nothing_of_a_worker(kind, backend):
    optimizer = tf.train.SyncReplicasOptimizer(tf.train.AdamOptimizer(), 2, 2)
    build(kind, backend, optimizer)
    (update,) = optimizer.get_chief_queue_runner().enqueue_ops
    tasks = {task(op) for op in predecessors([update])}
    assert {("ps", 0), ("ps", 1)} <= tasks
    assert "worker" not in {job for job, _ in tasks}


UNKNOWN = {
    "the rate of w depends on images": lambda data, l2, fed: tf.where(tf.is_nan(data + l2), tf.zeros([]), data + l2),
    "the rate of w depends on fed": lambda data, l2, fed: data + fed * l2,
    "scale depends on fed": lambda data, l2, fed: data + l2,
}


@pytest.mark.parametrize("message", UNKNOWN)
def test_a_decay_that_depends_on_what_the_chief_is_not_fed_is_refused(message, kind):
    w, step = tf.get_variable("w", [3]), tf.train.get_or_create_global_step()
    images, fed = tf.placeholder(tf.float32, [3], name="images"), tf.placeholder_with_default(0.5, [], name="fed")
    loss = UNKNOWN[message](tf.reduce_sum(w * images), RATE * tf.nn.l2_loss(w), fed)
    optimizer = tf.train.SyncReplicasOptimizer(tf.train.GradientDescentOptimizer(0.1), 2, 2)
    with pytest.raises(errors.UnsupportedUpdateError, match=message + r", .* in a run of its own\. Pass rates="):
        with tf1_wd.decoupled_weight_decay(scale=fed if "scale" in message else 1.0):
            optimizer.minimize(loss, step)


def test_a_scale_of_the_global_step_is_known_to_the_chief(kind):
    w, step = tf.get_variable("w", [3]), tf.train.get_or_create_global_step()
    optimizer = tf.train.SyncReplicasOptimizer(tf.train.GradientDescentOptimizer(0.1), 2, 2)
    with tf1_wd.decoupled_weight_decay(scale=lambda s: tf.train.piecewise_constant(s, [5], [1.0, 0.1])) as scope:
        optimizer.minimize(tf.reduce_sum(w * tf.placeholder(tf.float32, [3])) + RATE * tf.nn.l2_loss(w), step)
    assert [d.name for d in scope.plan.decaying] == ["w"]


def native_ops(ops):
    return [op for op in ops if op.type.startswith("Tf1Wd")]


def test_auto_does_not_trust_a_server_to_have_the_op_and_says_how_to_get_it(kind, monkeypatch):
    monkeypatch.setattr(choose, "_warned", False)
    with pytest.warns(errors.NativeOpWarning) as caught:
        ops, _ = build(kind, "auto", tf.train.AdamOptimizer())
    assert native_ops(ops) == []
    (message,) = [str(w.message) for w in caught if w.category is errors.NativeOpWarning]
    for part in ("on /job:ps/task:", "tf1_wd.load_native_op()", 'backend="native"', "tf1_wd.check_servers(target)"):
        assert part in message


def test_native_is_taken_at_its_word_for_servers(kind):
    assert len(native_ops(build(kind, "native", tf.train.AdamOptimizer())[0])) == 2


def test_auto_takes_the_op_for_variables_of_this_process(kind):
    with tf.device("/job:localhost/task:0/cpu:0"):
        w = tf.get_variable("w", [3])
        assert decay.decay([w], RATE, 1.0).type.startswith("Tf1Wd")


# --- asking


def test_a_process_alone_has_the_op_once_it_is_loaded():
    tf1_wd.load_native_op()
    tf1_wd.check_servers("")
    with tf.Session() as session:
        tf1_wd.check_servers(session)


def test_a_process_that_cannot_have_the_op_is_told_why():
    script = (
        "import tf1_wd\n"
        "from tf1_wd.native import cache\n"
        "cache.PREBUILT = '/nowhere'\n"
        "try:\n"
        "    tf1_wd.load_native_op()\n"
        "except tf1_wd.NativeOpError as error:\n"
        "    print(error)"
    )
    _, output = python("-c", script, CXX="no-such-compiler", TF1_WD_CACHE="/proc/nowhere")
    assert "the compiled decay op is not available: no C++ compiler: $CXX is 'no-such-compiler'" in output
