"""Reads MNIST, as tensorflow.examples.tutorials.mnist.input_data and tf.contrib.learn.datasets.mnist did."""

from __future__ import annotations

import gzip

import numpy as np
import tensorflow.compat.v1 as tf

from tf1_wd.legacy.standins.data.download import Datasets, maybe_download

DEFAULT_SOURCE_URL = SOURCE_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def read_data_sets(
    train_dir,
    fake_data=False,
    one_hot=False,
    dtype=tf.float32,
    reshape=True,
    validation_size=5000,
    seed=None,
    source_url=DEFAULT_SOURCE_URL,
):
    """Datasets(train, validation, test); files that are not in train_dir are downloaded.

    dtype: tf.uint8 for [0, 255], tf.float32 for [0, 1]. reshape: images as rows of 784.
    """
    options = {"dtype": dtype, "reshape": reshape, "seed": seed}
    if fake_data:
        return Datasets(*(DataSet([], [], fake_data=True, one_hot=one_hot, dtype=dtype, seed=seed) for _ in range(3)))
    parts = []
    for name in _FILES:
        name += "-ubyte.gz"
        path = maybe_download(name, train_dir, (source_url or DEFAULT_SOURCE_URL) + name)
        with tf.gfile.Open(path, "rb") as file:
            parts.append(extract_images(file) if "images" in name else extract_labels(file, one_hot))
    images, labels, test_images, test_labels = parts
    if not 0 <= validation_size <= len(images):
        raise ValueError("Validation size should be between 0 and %s. Received: %s." % (len(images), validation_size))
    return Datasets(
        train=DataSet(images[validation_size:], labels[validation_size:], **options),
        validation=DataSet(images[:validation_size], labels[:validation_size], **options),
        test=DataSet(test_images, test_labels, **options),
    )


def load_mnist(train_dir="MNIST-data"):
    """read_data_sets(train_dir)."""
    return read_data_sets(train_dir)


def extract_images(f):
    """[number, rows, columns, 1], uint8, from a gzipped file of images."""
    head, data = _read(f, 4, 2051, "image")
    return data.reshape(head[1], head[2], head[3], 1)


def extract_labels(f, one_hot=False, num_classes=10):
    """[number] or [number, num_classes], uint8, from a gzipped file of labels."""
    _, data = _read(f, 2, 2049, "label")
    return dense_to_one_hot(data, num_classes) if one_hot else data


def dense_to_one_hot(labels_dense, num_classes):
    """[number, num_classes], float64, one 1 in each row."""
    return np.eye(num_classes)[labels_dense]


def _read(file, words, magic, kind):
    with gzip.GzipFile(fileobj=file) as stream:
        head = np.frombuffer(stream.read(4 * words), ">u4").astype(int)
        if head[0] != magic:
            raise ValueError("Invalid magic number %d in MNIST %s file: %s" % (head[0], kind, file.name))
        return head, np.frombuffer(stream.read(), np.uint8)


class DataSet:
    """Images and labels, handed out in shuffled batches."""

    def __init__(self, images, labels, fake_data=False, one_hot=False, dtype=tf.float32, reshape=True, seed=None):
        first, second = tf.get_seed(seed)
        np.random.seed(first if seed is None else second)  # as TF 1 did: the order depends on it
        dtype = tf.as_dtype(dtype).base_dtype
        if dtype not in (tf.uint8, tf.float32):
            raise TypeError("Invalid image dtype %r, expected uint8 or float32" % dtype)
        self.one_hot = one_hot
        self._num_examples = 10000 if fake_data else len(images)
        if not fake_data:
            assert len(images) == len(labels), "images.shape: %s labels.shape: %s" % (images.shape, labels.shape)
            if reshape:
                images = images.reshape(len(images), -1)
            if dtype == tf.float32:
                images = images.astype(np.float32) * np.float32(1.0 / 255.0)
        self._images, self._labels = images, labels
        self._epochs_completed = self._index_in_epoch = 0

    images = property(lambda self: self._images)
    labels = property(lambda self: self._labels)
    num_examples = property(lambda self: self._num_examples)
    epochs_completed = property(lambda self: self._epochs_completed)

    def next_batch(self, batch_size, fake_data=False, shuffle=True):
        """(images, labels) of the next examples; a batch across the end of an epoch takes from both."""
        if fake_data:
            label = [1] + [0] * 9 if self.one_hot else 0
            return [[1] * 784] * batch_size, [label] * batch_size
        start = self._index_in_epoch
        if self._epochs_completed == 0 and start == 0 and shuffle:
            self._shuffle()
        end = start + batch_size
        images, labels = self._images[start:end], self._labels[start:end]
        if end > self._num_examples:
            self._epochs_completed += 1
            end -= self._num_examples
            if shuffle:
                self._shuffle()
            images = np.concatenate((images, self._images[:end]))
            labels = np.concatenate((labels, self._labels[:end]))
        self._index_in_epoch = end
        return images, labels

    def _shuffle(self):
        order = np.arange(self._num_examples)
        np.random.shuffle(order)
        self._images, self._labels = self._images[order], self._labels[order]
