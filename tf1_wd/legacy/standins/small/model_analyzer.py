"""tf.contrib.tfprof.model_analyzer, over tf.profiler."""

from __future__ import annotations

import tensorflow.compat.v1 as tf
from tensorflow.python.profiler.tfprof_logger import TRAINABLE_VARIABLES


def _options(select, **given):
    return {
        "max_depth": 10000,
        "min_bytes": 0,
        "min_micros": 0,
        "min_params": 0,
        "min_float_ops": 0,
        "order_by": "name",
        "account_type_regexes": [".*"],
        "start_name_regexes": [".*"],
        "trim_name_regexes": [],
        "show_name_regexes": [".*"],
        "hide_name_regexes": [],
        "account_displayed_op_only": True,
        "select": select,
        "output": "stdout",
        "dump_to_file": "",
        **given,
    }


TRAINABLE_VARS_PARAMS_STAT_OPTIONS = _options(["params"], account_type_regexes=[TRAINABLE_VARIABLES])
FLOAT_OPS_OPTIONS = _options(["float_ops"], min_float_ops=1, order_by="float_ops")
PRINT_ALL_TIMING_MEMORY = _options(["micros", "bytes"], min_bytes=1, min_micros=1)


def print_model_analysis(graph, run_meta=None, op_log=None, tfprof_cmd="scope", tfprof_options=0):
    """Prints what the options select, and returns it: tf.profiler.profile."""
    return tf.profiler.profile(graph, run_meta, op_log, tfprof_cmd, tfprof_options)


def advise(graph, run_meta=None, tfprof_options=0):
    """tf.profiler.advise."""
    return tf.profiler.advise(graph, run_meta, tfprof_options)


def write_op_log(graph, log_dir, op_log=None, run_meta=None, add_trace=True):
    """tf.profiler.write_op_log."""
    tf.profiler.write_op_log(graph, log_dir, op_log, run_meta, add_trace)
