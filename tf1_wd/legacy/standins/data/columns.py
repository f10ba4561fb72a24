"""Feature columns of tf.contrib.layers as those of tf.feature_column; they go into the models of tf.estimator."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

_columns = tf.feature_column


def real_valued_column(column_name, dimension=1, default_value=None, dtype=tf.float32, normalizer=None):
    """tf.feature_column.numeric_column."""
    return _columns.numeric_column(
        column_name, shape=(dimension,), default_value=default_value, dtype=dtype, normalizer_fn=normalizer
    )


def sparse_column_with_hash_bucket(column_name, hash_bucket_size, combiner="sum", dtype=tf.string):
    """tf.feature_column.categorical_column_with_hash_bucket."""
    return _columns.categorical_column_with_hash_bucket(column_name, hash_bucket_size, dtype=dtype)


def sparse_column_with_integerized_feature(column_name, bucket_size, combiner="sum", dtype=tf.int64):
    """tf.feature_column.categorical_column_with_identity."""
    return _columns.categorical_column_with_identity(column_name, bucket_size)


def sparse_column_with_keys(column_name, keys, default_value=-1, combiner="sum", dtype=tf.string):
    """tf.feature_column.categorical_column_with_vocabulary_list."""
    return _columns.categorical_column_with_vocabulary_list(column_name, keys, dtype=dtype, default_value=default_value)


def sparse_column_with_vocabulary_file(
    column_name, vocabulary_file, num_oov_buckets=0, vocab_size=None, default_value=-1, combiner="sum", dtype=tf.string
):
    """tf.feature_column.categorical_column_with_vocabulary_file."""
    return _columns.categorical_column_with_vocabulary_file(
        column_name,
        vocabulary_file,
        vocabulary_size=vocab_size,
        num_oov_buckets=num_oov_buckets,
        default_value=None if num_oov_buckets else default_value,
        dtype=dtype,
    )


def crossed_column(columns, hash_bucket_size, combiner="sum", **unused):
    """tf.feature_column.crossed_column."""
    # a hashed column is crossed by its key
    keys = [getattr(c, "key", c) if type(c).__name__.startswith("HashedCategorical") else c for c in columns]
    return _columns.crossed_column(keys, hash_bucket_size)


def embedding_column(sparse_id_column, dimension, combiner="mean", initializer=None, max_norm=None, trainable=True):
    """tf.feature_column.embedding_column."""
    return _columns.embedding_column(
        sparse_id_column,
        dimension,
        combiner=combiner,
        initializer=initializer,
        max_norm=max_norm,
        trainable=trainable,
    )


def one_hot_column(sparse_id_column):
    """tf.feature_column.indicator_column."""
    return _columns.indicator_column(sparse_id_column)


def input_from_feature_columns(
    columns_to_tensors, feature_columns, weight_collections=None, trainable=True, scope=None
):
    """[batch, size], tf.feature_column.input_layer."""
    with tf.variable_scope(scope, default_name="input_from_feature_columns"):
        return _columns.input_layer(
            columns_to_tensors, feature_columns, weight_collections=weight_collections, trainable=trainable
        )
