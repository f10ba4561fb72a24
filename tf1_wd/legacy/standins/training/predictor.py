"""tf.contrib.predictor: a SavedModel as a function of NumPy arrays."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


class Predictor:
    """Maps {name: array} to {name: array}."""

    def __init__(self, session, feed_tensors, fetch_tensors):
        self._session = session
        self._feed_tensors = feed_tensors
        self._fetch_tensors = fetch_tensors

    def __call__(self, input_dict):
        unknown = sorted(set(input_dict) - set(self._feed_tensors))
        if unknown:
            raise ValueError(
                "Got unexpected keys in input_dict: %s\nexpected: %s" % (unknown, sorted(self.feed_tensors))
            )
        return self._session.run(
            self._fetch_tensors, feed_dict={self._feed_tensors[name]: value for name, value in input_dict.items()}
        )

    graph = property(lambda self: self._session.graph)
    session = property(lambda self: self._session)
    feed_tensors = property(lambda self: self._feed_tensors)
    fetch_tensors = property(lambda self: self._fetch_tensors)


def from_saved_model(
    export_dir,
    signature_def_key=None,
    signature_def=None,
    input_names=None,
    output_names=None,
    tags=None,
    graph=None,
    config=None,
):
    """A Predictor for a signature of a SavedModel, or for tensors by name: {name: "tensor:0"}."""
    session = tf.Session(graph=graph or tf.Graph(), config=config)
    with session.graph.as_default():
        names = tags.split(",") if isinstance(tags, str) else list(tags or [tf.saved_model.tag_constants.SERVING])
        meta = tf.saved_model.loader.load(session, names, export_dir)
    if input_names is None:
        key = signature_def_key or tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY
        if signature_def is None and key not in meta.signature_def:
            raise ValueError("Got signature_def_key %r, there are %s" % (key, sorted(meta.signature_def)))
        signature = signature_def or meta.signature_def[key]
        input_names = {name: info.name for name, info in signature.inputs.items()}
        output_names = {name: info.name for name, info in signature.outputs.items()}

    def tensors(of):
        return {name: session.graph.get_tensor_by_name(tensor) for name, tensor in of.items()}

    return Predictor(session, tensors(input_names), tensors(output_names))
