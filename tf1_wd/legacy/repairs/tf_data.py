"""Arguments of tf.data as TensorFlow 1 took them."""

from __future__ import annotations

import functools
import inspect

_COUNTS = {
    "batch": "batch_size",
    "interleave": "cycle_length block_length num_parallel_calls",
    "map": "num_parallel_calls",
    "map_with_legacy_function": "num_parallel_calls",
    "padded_batch": "batch_size",
    "prefetch": "buffer_size",
    "repeat": "count",
    "shard": "num_shards index",
    "shuffle": "buffer_size",
    "skip": "count",
    "take": "count",
    "window": "size shift stride",
}


def put_counts(stack):
    """Lets counts be int32: num_parallel_calls had to be, and is int64 now. stack: ExitStack that takes it back."""
    import tensorflow.compat.v1 as tf

    for method, names in _COUNTS.items():
        original = getattr(tf.data.Dataset, method)
        own = vars(tf.data.Dataset).get(method)
        setattr(tf.data.Dataset, method, _taking_int32(tf, original, names.split()))
        if own is None:
            stack.callback(delattr, tf.data.Dataset, method)
        else:
            stack.callback(setattr, tf.data.Dataset, method, own)


def _taking_int32(tf, original, names):
    signature = inspect.signature(original)

    def as_int64(value):
        if isinstance(value, tf.Tensor) and value.dtype == tf.int32:
            return tf.cast(value, tf.int64)
        # an integer of NumPy
        return value if isinstance(value, (tf.Tensor, int)) or not hasattr(value, "item") else value.item()

    @functools.wraps(original)
    def method(*args, **kwargs):
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return original(*args, **kwargs)  # tells what is wrong
        given.arguments.update({n: as_int64(given.arguments[n]) for n in names if n in given.arguments})
        return original(*given.args, **given.kwargs)

    return method
