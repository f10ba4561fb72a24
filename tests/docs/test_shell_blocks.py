"""What docs and legacy_examples/README.md have one type runs as it stands, and does what is said of it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from support import reader
from support.legacy_oracles import saved, trainable
from support.pages import ROOT, runs

PTX = os.path.join("tf1_wd", "native", "csrc", "decay_kernel.ptx")
# pip takes what is installed and looks nowhere else
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@runs("docs/commands/patch.md", commands="pip install")
def test_the_commands_of_the_patch_page_show_the_edit_and_make_it(commands, tmp_path):
    reader.write_train(tmp_path)
    before = (tmp_path / "train.py").read_text()
    reader.install(tmp_path)
    done = reader.shell(commands.text, tmp_path, **OFFLINE)
    assert done.returncode == 0, done.stderr
    assert "Requirement already satisfied: libcst" in done.stdout  # so the extra is there, and has it
    after = (tmp_path / "train.py").read_text()
    (added,) = re.findall(r"^\+(with tf1_wd\.decoupled_weight_decay\(.*\):)$", done.stdout, re.MULTILINE)
    assert added in after
    assert added not in before
    trained = reader.shell("python train.py " + " ".join(reader.FLAGS), tmp_path)
    assert trained.returncode == 0, trained.stderr
    reader.assert_decayed(tmp_path)


@runs("docs/develop/native-op.md", command="pip install '.[cuda]'")
def test_the_command_of_the_op_page_makes_the_ptx_that_ships(command, tmp_path):
    if importlib.util.find_spec("nvidia") is None or importlib.util.find_spec("nvidia.cuda_nvrtc") is None:
        pytest.skip("NVRTC is not installed: pip install '.[cuda]'")
    version = subprocess.check_output([sys.executable, "-m", "pip", "--version"], text=True).split()[1]
    if tuple(map(int, version.split(".")[:2])) < (22, 2):
        pytest.skip("pip %s knows no --dry-run, and would install" % version)
    tree = tmp_path / "tree"
    shutil.copytree(str(ROOT), str(tree), ignore=shutil.ignore_patterns(".git", ".*_cache", "__pycache__", "tests"))
    shipped = (tree / PTX).read_bytes()
    (tree / PTX).unlink()
    # "0" is pip's way to say true here: no build isolation
    done = reader.shell(command.text, tree, PIP_DRY_RUN="1", PIP_NO_BUILD_ISOLATION="0", **OFFLINE)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Would install .*tf1-wd-", done.stdout, re.MULTILINE)
    assert (tree / PTX).read_bytes() == shipped


@runs("docs/guide/cuda-convnet.md", command="python legacy_examples/cuda_convnet/train.py")
def test_the_command_of_the_cuda_convnet_page_trains_the_digits_with_decoupled_decay(command, tmp_path):
    reader.examples(tmp_path)
    done = reader.shell(command.text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "w <- w + inc - s eps wc w" in done.stdout
    assert float(re.search(r"test accuracy: (\S+) %", done.stdout).group(1)) > 85


@runs("docs/guide/legacy.md", block="import tf1_wd.legacy")
def test_after_the_block_of_the_legacy_page_a_program_of_tensorflow_1_runs(block, tmp_path):
    (tmp_path / "old.py").write_text(block.text + OLD)
    done = reader.shell("python old.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[[2. 2.]] 0.5\n"


# what TensorFlow 2 takes away: placeholders, slim, contrib's regularizers
OLD = """
x = tf.placeholder(tf.float32, [None, 2])
regularizer = tf.contrib.layers.l2_regularizer(0.25)
y = slim.fully_connected(x, 2, weights_initializer=tf.ones_initializer(), weights_regularizer=regularizer)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    print(session.run(y, {x: [[1, 1]]}), session.run(tf.losses.get_regularization_loss()))
"""


@runs("legacy_examples/README.md", commands="cd legacy_examples")
def test_the_commands_of_the_examples_page_audit_and_train_with_true_decay_and_as_ever(commands, tmp_path):
    reader.examples(tmp_path)
    done = reader.shell(commands.text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning [coupled] AdamOptimizer gets the L2 of 4 variables" in done.stdout
    assert "tf1-wd run: 4 of 8 variables decay" in done.stderr
    (start, end), (start_as_ever, end_as_ever) = (
        [trainable(saved(str(tmp_path / "legacy_examples" / folder), "model-%d" % step)) for step in (0, 1000)]
        for folder in ("log", "log_as_ever")
    )
    for name, value in start.items():
        np.testing.assert_array_equal(value, start_as_ever[name])
        assert not np.array_equal(end[name], end_as_ever[name]), name


@runs("legacy_examples/README.md", command="tf1-wd run --rate")
def test_the_command_of_the_examples_page_gives_the_convolutions_a_rate(command, tmp_path):
    reader.examples(tmp_path)
    done = reader.shell("cd legacy_examples\n" + command.text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^  rate 0\.05 \(half-life .* steps\), .*: conv1/weights, conv2/weights$", done.stderr, re.MULTILINE
    ), done.stderr
    assert re.search(
        r"^  rate 0\.02 \(half-life .* steps\), penalty in the loss: local3/weights$", done.stderr, re.MULTILINE
    ), done.stderr
    folder = str(tmp_path / "legacy_examples" / "cifar10_train")
    first, last = (saved(folder, "model.ckpt-%d" % step) for step in (0, 1000))
    assert all(not np.array_equal(last[name], first[name]) for name in trainable(first))
