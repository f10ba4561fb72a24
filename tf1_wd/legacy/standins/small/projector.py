"""tf.contrib.tensorboard.plugins.projector: writes the file that TensorBoard's projector reads, without TensorBoard."""

from __future__ import annotations

import os

import tensorflow.compat.v1 as tf


class _Message:
    """A few fields, written as text of a protocol buffer."""

    _fields: tuple[str, ...] = ()

    def __init__(self, **kwargs):
        for name in self._fields:
            setattr(self, name, kwargs.pop(name, None))
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

    _fields = ("image_path", "single_image_dim")
    single_image_dim: list

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.single_image_dim = list(self.single_image_dim or [])


class EmbeddingInfo(_Message):
    """One table of embeddings."""

    _fields = ("tensor_name", "metadata_path", "bookmarks_path", "tensor_shape", "sprite", "tensor_path")
    sprite: SpriteMetadata
    tensor_shape: list

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.sprite = self.sprite or SpriteMetadata()
        self.tensor_shape = list(self.tensor_shape or [])


class _Embeddings(list):
    def add(self, **kwargs):
        """A new EmbeddingInfo at the end."""
        self.append(EmbeddingInfo(**kwargs))
        return self[-1]


class ProjectorConfig(_Message):
    """All tables: config.embeddings.add().tensor_name = table.name."""

    _fields = ("model_checkpoint_path", "embeddings", "model_checkpoint_dir")
    embeddings: _Embeddings

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embeddings = _Embeddings(self.embeddings or [])


def visualize_embeddings(summary_writer, config):
    """Writes projector_config.pbtxt into the directory of a tf.summary.FileWriter."""
    directory = summary_writer.get_logdir()
    if directory is None:
        raise ValueError("Summary writer must have a logdir")
    with tf.gfile.Open(os.path.join(tf.compat.as_str(directory), "projector_config.pbtxt"), "w") as file:
        file.write(str(config))
