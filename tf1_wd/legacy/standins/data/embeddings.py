"""Encoders of tf.contrib.layers: embedded and averaged words."""

from __future__ import annotations

import importlib

import tensorflow.compat.v1 as tf


def _table(vocab_size, embed_dim, initializer, regularizer, trainable):
    variables = importlib.import_module("tf_slim.ops.variables")
    shape = None if vocab_size is None or embed_dim is None else [vocab_size, embed_dim]
    return variables.model_variable(
        "embeddings", shape=shape, initializer=initializer, regularizer=regularizer, trainable=trainable
    )


def embed_sequence(
    ids,
    vocab_size=None,
    embed_dim=None,
    unique=False,
    initializer=None,
    regularizer=None,
    trainable=True,
    scope=None,
    reuse=None,
):
    """[batch, length, embed_dim] from ids, [batch, length]; the table is `EmbedSequence/embeddings`.

    unique: looks each id up once.
    """
    if not (reuse or (vocab_size and embed_dim)):
        raise ValueError(
            "Must specify vocab size and embedding dimension when not reusing. Got vocab_size=%s and embed_dim=%s"
            % (vocab_size, embed_dim)
        )
    with tf.variable_scope(scope, "EmbedSequence", [ids], reuse=reuse):
        table = _table(vocab_size, embed_dim, initializer, regularizer, trainable)
        return embedding_lookup_unique(table, ids) if unique else tf.nn.embedding_lookup(table, ids)


def bow_encoder(
    ids,
    vocab_size,
    embed_dim,
    sparse_lookup=True,
    initializer=None,
    regularizer=None,
    trainable=True,
    scope=None,
    reuse=None,
):
    """[batch, embed_dim], the mean of the embedded words of each row of ids; the table is `bow_encoder/embeddings`.

    sparse_lookup: leaves out ids of 0, which fill rows up.
    """
    if not vocab_size or not embed_dim:
        raise ValueError("Must specify vocab size and embedding dimension")
    with tf.variable_scope(scope, "bow_encoder", [ids], reuse=reuse):
        table = _table(vocab_size, embed_dim, initializer, regularizer, trainable)
        if not sparse_lookup:
            if isinstance(ids, tf.SparseTensor):
                raise TypeError("ids are expected to be dense Tensor, got: %s" % ids)
            return tf.reduce_mean(tf.nn.embedding_lookup(table, ids), axis=1)
        if not isinstance(ids, tf.SparseTensor):
            ids = importlib.import_module("tf_slim.layers.sparse_ops").dense_to_sparse_tensor(ids)
        return tf.nn.safe_embedding_lookup_sparse([table], ids, combiner="mean", default_id=0)


def embedding_lookup_unique(params, ids, partition_strategy="mod", name=None):
    """tf.nn.embedding_lookup that looks each id up once."""
    with tf.name_scope(name, "EmbeddingLookupUnique", [params, ids]):
        ids = tf.convert_to_tensor(ids)
        unique, places = tf.unique(tf.reshape(ids, [-1]))
        rows = tf.nn.embedding_lookup(params, unique, partition_strategy)
        found = tf.reshape(tf.gather(rows, places), tf.concat([tf.shape(ids), tf.shape(rows)[1:]], 0))
        found.set_shape(ids.shape.concatenate(rows.shape[1:]))
        return found
