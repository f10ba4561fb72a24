"""What tf.contrib.data had beside tf.data.experimental."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf
from tensorflow.python.util import nest

from tf1_wd.legacy.standins.small.framework import with_shape


def batch_and_drop_remainder(batch_size):
    """For Dataset.apply: batches of exactly batch_size."""
    return lambda dataset: dataset.batch(batch_size, drop_remainder=True)


def padded_batch_and_drop_remainder(batch_size, padded_shapes, padding_values=None):
    """For Dataset.apply: padded batches of exactly batch_size."""
    return lambda dataset: dataset.padded_batch(
        batch_size, padded_shapes=padded_shapes, padding_values=padding_values, drop_remainder=True
    )


def sloppy_interleave(map_func, cycle_length, block_length=1):
    """For Dataset.apply: datasets interleaved in whatever order they come."""
    return tf.data.experimental.parallel_interleave(map_func, cycle_length, block_length, sloppy=True)


def sliding_window_batch(window_size, stride=None, window_shift=None, window_stride=1):
    """For Dataset.apply: windows of window_size elements, each window_shift behind the one before."""
    if stride is not None and window_shift is not None:
        raise ValueError("Cannot specify both `stride` and `window_shift`")
    shift = window_shift or stride or 1

    def batched(*windows):
        parts = [window.batch(window_size) for window in nest.flatten(windows)]
        packed = nest.pack_sequence_as(windows, parts)
        return packed[0] if len(packed) == 1 else tf.data.Dataset.zip(packed)

    return lambda dataset: dataset.window(window_size, shift, window_stride, drop_remainder=True).flat_map(batched)


def assert_element_shape(expected_shapes):
    """For Dataset.apply: elements checked for their shapes, and known to have them."""

    def check(*elements):
        shapes = nest.flatten(expected_shapes)
        flat = [with_shape(s, e) if s else e for s, e in zip(shapes, nest.flatten(elements))]
        packed = nest.pack_sequence_as(elements, flat)
        return packed[0] if len(packed) == 1 else packed

    return lambda dataset: dataset.map(check)


def reduce_dataset(dataset, reducer):
    """What a Reducer makes of all elements."""
    return dataset.reduce(reducer.init_func(np.int64(0)), reducer.reduce_func)


def read_batch_features(
    file_pattern,
    batch_size,
    features,
    reader=tf.data.TFRecordDataset,
    reader_args=None,
    randomize_input=True,
    num_epochs=None,
    capacity=10000,
):
    """A dict of tensors, the next batch of parsed Examples."""
    dataset = tf.data.experimental.make_batched_features_dataset(
        file_pattern,
        batch_size,
        features,
        reader=reader,
        reader_args=reader_args,
        shuffle=randomize_input,
        num_epochs=num_epochs,
        shuffle_buffer_size=capacity,
    )
    return tf.data.make_one_shot_iterator(dataset).get_next()
