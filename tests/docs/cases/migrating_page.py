"""Runs the blocks for TensorFlow 2 of docs/migrating-to-tf2, as they stand and with mistakes; prints the weights.

Started by test_migrating_page.py, with TF_USE_LEGACY_KERAS set, in the folder where a block for TensorFlow 1 left its
checkpoint. Standard input, as JSON: the blocks with mistakes. Standard output: {"groups": {name: [weights of
each block]}, "mistakes": [weights of each], "keras": its version}, the traceback in place of weights if a block fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import runpy
import sys
import traceback

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import keras
import numpy as np
import tensorflow as tf

from support import migrating

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
KERAS = "2" if os.environ["TF_USE_LEGACY_KERAS"] == "1" else keras.__version__


def weights_after(block):
    pathlib.Path("block.py").write_text(migrating.BEGIN_TF2 + block)  # a file, because AutoGraph reads the source
    try:
        with contextlib.redirect_stdout(sys.stderr):
            names = runpy.run_path("block.py")
        after = names["after"] if "after" in names else names["model"].get_weights()
        return [np.asarray(w, np.float64).tolist() for w in after]
    except Exception:
        return traceback.format_exc()


if __name__ == "__main__":
    found = {name: [weights_after(block) for block in group.tf2] for name, group in migrating.GROUPS.items()}
    mistakes = [weights_after(block) for block in json.load(sys.stdin)]
    json.dump({"groups": found, "mistakes": mistakes, "keras": KERAS}, sys.stdout)
