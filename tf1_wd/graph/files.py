"""Graphs from files, and what tracebacks and sessions tell of a graph."""

from __future__ import annotations

from typing import Any

from tf1_wd import _tf
from tf1_wd._tf import tf
from tf1_wd.native import loader


def saved_model(data: bytes) -> Any:
    """The SavedModel message in the bytes of a saved_model.pb; raises ValueError for other bytes."""
    return _parsed(_tf.SavedModel(), data)


def meta_graph(data: bytes) -> Any:
    """The MetaGraphDef in the bytes of a .meta file; raises ValueError for other bytes."""
    message = _parsed(tf.MetaGraphDef(), data)
    if not message.graph_def.node:
        raise ValueError("it holds no graph")
    return message


def _parsed(message: Any, data: bytes) -> Any:
    try:
        message.ParseFromString(data)
    except Exception as error:  # google.protobuf.message.DecodeError, which lives elsewhere in each version
        raise ValueError(str(error)) from error
    return message


def import_meta_graph(message: Any) -> None:
    """Imports a MetaGraphDef into the default graph, without the Saver that TensorFlow would add to it."""
    if any(node.op.startswith("Tf1Wd") for node in message.graph_def.node):
        loader.status()  # registers the op, if it can be had
    if not message.HasField("saver_def"):
        message.saver_def.filename_tensor_name = message.saver_def.save_tensor_name = "none:0"
        message.saver_def.restore_op_name = "none"
    tf.train.import_meta_graph(message, clear_devices=True)


def traceback(op: tf.Operation) -> list[tuple[Any, ...]]:
    """Where an op was made: (file, line, function, code) of each frame, the outermost first."""
    frames = []
    for frame in op.traceback or ():
        if hasattr(frame, "filename"):
            frames.append((frame.filename, frame.lineno, frame.name, frame.line))
        else:
            frames.append(tuple(frame)[:4])
    return frames


def values_in_session(tf_graph: tf.Graph, tensors: dict[Any, tf.Tensor]) -> dict[Any, Any]:
    """{key: array} of tensors, from the session that a program has on a graph; {} if it has none, or no values yet."""
    for session in _tf.sessions_of(tf_graph):
        try:
            return session.run(tensors)
        except Exception:  # closed, or not initialized: each version raises its own
            continue
    return {}
