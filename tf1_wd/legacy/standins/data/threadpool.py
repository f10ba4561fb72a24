"""tensorflow.python.data.experimental.ops.threadpool, by the options of a data set."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


class PrivateThreadPool:
    """The number of threads that a data set is to have for itself."""

    def __init__(self, num_threads, display_name=None, max_intra_op_parallelism=1):
        self.num_threads, self.max_intra_op_parallelism = num_threads, max_intra_op_parallelism


def override_threadpool(dataset, thread_pool):
    """The data set, computed by those threads."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = int(thread_pool.num_threads)
    options.threading.max_intra_op_parallelism = int(thread_pool.max_intra_op_parallelism)
    return dataset.with_options(options)
