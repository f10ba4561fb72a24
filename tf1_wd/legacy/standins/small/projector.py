"""tf.contrib.tensorboard.plugins.projector: writes the file that TensorBoard's projector reads, without TensorBoard."""

from __future__ import annotations

import os
from typing import ClassVar

import tensorflow.compat.v1 as tf


class _Message:
    """A few fields, written as text of a protocol buffer.

    _fields: {name: function}. A function makes the first value out of the given one, or of () if there is none.
    """

    _fields: ClassVar[dict] = {}

    def __init__(self, **kwargs):
        for name, make in self._fields.items():
            value = kwargs.pop(name, None)
            setattr(self, name, make(value or ()) if make else value)
        if kwargs:
            raise ValueError("%s has no field %s" % (type(self).__name__, ", ".join(kwargs)))

    def _lines(self, indent=""):
        for name in self._fields:
            value = getattr(self, name)
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, _Message):
                    inner = list(one._lines(indent + "  "))
                    if inner or isinstance(value, list):
                        yield from ["%s%s {" % (indent, name), *inner, indent + "}"]
                elif one is not None:
                    text = '"%s"' % one.replace("\\", "\\\\").replace('"', '\\"') if isinstance(one, str) else one
                    yield "%s%s: %s" % (indent, name, text)

    def __str__(self):
        return "".join(line + "\n" for line in self._lines())


class SpriteMetadata(_Message):
    """One image of all thumbnails."""

    _fields: ClassVar = {"image_path": None, "single_image_dim": list}


class EmbeddingInfo(_Message):
    """One table of embeddings."""

    _fields: ClassVar = {
        "tensor_name": None,
        "metadata_path": None,
        "bookmarks_path": None,
        "tensor_shape": list,
        "sprite": lambda given: given or SpriteMetadata(),
        "tensor_path": None,
    }


class _Embeddings(list):
    def add(self, **kwargs):
        """A new EmbeddingInfo at the end."""
        self.append(EmbeddingInfo(**kwargs))
        return self[-1]


class ProjectorConfig(_Message):
    """All tables: config.embeddings.add().tensor_name = table.name."""

    _fields: ClassVar = {"model_checkpoint_path": None, "embeddings": _Embeddings, "model_checkpoint_dir": None}


def visualize_embeddings(summary_writer, config):
    """Writes projector_config.pbtxt into the directory of a tf.summary.FileWriter."""
    directory = summary_writer.get_logdir()
    if directory is None:
        raise ValueError("Summary writer must have a logdir")
    with tf.gfile.Open(os.path.join(tf.compat.as_str(directory), "projector_config.pbtxt"), "w") as file:
        file.write(str(config))
