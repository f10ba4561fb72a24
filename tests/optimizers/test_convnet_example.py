"""legacy_examples/cuda_convnet trains the digits by its layer parameter file as NumPy does, in both rules."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import tf1_wd
from support.legacy_oracles import EXAMPLES, layers, tape

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(tf1_wd.__file__)))
EXAMPLE = os.path.join(EXAMPLES, "cuda_convnet")
STEPS, BATCH, TEST = 10, 64, 300
# learning rate, momentum, decay: what layer-params.cfg says
LEARNING = {
    "conv1/weights": (0.05, 0.9, 0.0),
    "conv1/biases": (0.1, 0.9, 0.0),
    "conv2/weights": (0.05, 0.9, 0.02),
    "conv2/biases": (0.1, 0.9, 0.0),
    "fc10/weights": (0.02, 0.9, 0.05),
    "fc10/biases": (0.04, 0.9, 0.0),
}


def train_with_numpy(start, decoupled, learning):
    with np.load(os.path.join(EXAMPLES, "data", "optical_digits.npz")) as data:
        images, labels = data["images"].astype(np.float64)[..., None] / 16, data["labels"].astype(int)
    w, inc = {name: value.astype(np.float64) for name, value in start.items()}, dict.fromkeys(start, 0.0)
    for t in range(STEPS):
        batch = np.arange(BATCH * t, BATCH * (t + 1)) % (len(labels) - TEST)
        v = {name: tape.Node(value) for name, value in w.items()}
        net = tape.node(images[batch])
        for name in ("conv1", "conv2"):
            net = layers.max_pool(tape.relu(layers.conv(net, v[name + "/weights"]) + v[name + "/biases"]))
        logits = layers.flatten(net) @ v["fc10/weights"] + v["fc10/biases"]
        gradients = tape.gradients(layers.cross_entropy(logits, labels[batch]), v)
        for name, (eps, momentum, wc) in learning.items():
            eps *= 1.0 if t < STEPS * 4 // 5 else 0.1
            decay = wc * eps * w[name]
            inc[name] = momentum * inc[name] - (0.0 if decoupled else decay) - eps * gradients[name]
            w[name] = w[name] + inc[name] - (decay if decoupled else 0.0)
    return w


@pytest.mark.parametrize("decoupled", [False, True])
def test_the_digits_train_by_a_layer_parameter_file_as_with_numpy(decoupled, tmp_path):
    out = str(tmp_path / "weights.npz")
    command = [sys.executable, os.path.join(EXAMPLE, "train.py"), "--steps=%d" % STEPS, "--out", out]
    done = subprocess.run(
        [*command, *(["--decoupled"] if decoupled else [])],
        env=dict(os.environ, PYTHONPATH=PACKAGE),
        cwd=str(tmp_path),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "layer-params.cfg: [logprob] coeff" in done.stdout  # what is of no use to it is said
    with np.load(out) as saved:
        start, end = ({name: saved[when + "/" + name] for name in LEARNING} for when in ("start", "end"))
    without = {name: (*numbers[:2], 0.0) for name, numbers in LEARNING.items()}
    expected = train_with_numpy(start, decoupled, LEARNING)
    others = train_with_numpy(start, not decoupled, LEARNING), train_with_numpy(start, decoupled, without)
    for name, weights in expected.items():
        size = np.abs(weights).max()
        np.testing.assert_allclose(end[name], weights, rtol=0, atol=1e-5 * size, err_msg=name)
        if LEARNING[name][2] > 0:
            assert all(np.abs(weights - other[name]).max() > 1e-4 * size for other in others)
