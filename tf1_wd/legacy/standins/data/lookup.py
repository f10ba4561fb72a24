"""String tables of tf.contrib.lookup under their first names."""

from __future__ import annotations

import tensorflow.compat.v1 as tf
from tensorflow.python.ops import lookup_ops
from tensorflow.python.ops.lookup_ops import FastHashSpec


def string_to_index_table_from_file(
    vocabulary_file=None,
    num_oov_buckets=0,
    vocab_size=None,
    default_value=-1,
    hasher_spec=FastHashSpec,
    name=None,
):
    """A table from the lines of a file to their numbers."""
    return lookup_ops.index_table_from_file(
        vocabulary_file, num_oov_buckets, vocab_size, default_value, hasher_spec, key_dtype=tf.string, name=name
    )


def string_to_index_table_from_tensor(
    mapping, num_oov_buckets=0, default_value=-1, hasher_spec=FastHashSpec, name=None
):
    """A table from strings to their numbers."""
    mapping = tf.convert_to_tensor(mapping)
    if mapping.dtype.base_dtype != tf.string:
        raise ValueError("string_to_index_table_from_tensor requires string.")
    return lookup_ops.index_table_from_tensor(mapping, num_oov_buckets, default_value, hasher_spec, name=name)


def string_to_index(tensor, mapping, default_value=-1, name=None):
    """The numbers of strings in a mapping."""
    return lookup_ops.index_table_from_tensor(mapping, default_value=default_value, name=name).lookup(tensor)


def index_to_string(tensor, mapping, default_value="UNK", name=None):
    """The strings of numbers in a mapping."""
    return lookup_ops.index_to_string_table_from_tensor(mapping, default_value=default_value, name=name).lookup(tensor)


class HashTable(lookup_ops.StaticHashTableV1):
    """A table that cannot change; `init` is the op that fills it."""

    @property
    def init(self):
        return self.initializer
