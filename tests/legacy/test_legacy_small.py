"""Stand-ins that need no graph, or a small one: held to contrib itself where TensorFlow 1.15 has it."""

from __future__ import annotations

import gzip
import importlib
import struct

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from support.versions import IS_TF1
from tf1_wd.legacy import install
from tf1_wd.legacy.imports.contrib_finder import load
from tf1_wd.legacy.tables.contrib import MOVES

pytestmark = pytest.mark.filterwarnings("ignore")  # contrib and the estimator warn of themselves


def find(name, whose):
    """tf.contrib's own, or our stand-in."""
    if whose == "ours":
        return load(MOVES["tensorflow.contrib." + name])
    area, _, rest = name.partition(".")
    found = importlib.import_module("tensorflow.contrib." + area)
    for part in rest.split("."):
        found = getattr(found, part)
    return found


both = pytest.mark.parametrize("whose", ["ours", "contrib"] if IS_TF1 else ["ours"])


@both
def test_hparams_parse_values_of_their_types(whose):
    hparams = find("training.HParams", whose)(rate=0.1, sizes=[1, 2], name="a", fast=False)
    hparams.parse("rate=3,sizes=[4,5],name=b,fast=true").add_hparam("more", 7)
    assert hparams.values() == {"rate": 3.0, "sizes": [4, 5], "name": "b", "fast": True, "more": 7}
    assert type(hparams.rate) is float
    assert hparams.get("nosuch", 1) == 1
    assert "rate" in hparams
    assert hparams.to_json(sort_keys=True) == '{"fast": true, "more": 7, "name": "b", "rate": 3.0, "sizes": [4, 5]}'
    for wrong in ("rate=x", "nosuch=1", "rate=[1,2]", "sizes=3", "rate=1,rate=2", "name"):
        with pytest.raises(ValueError, match=r"[Hh]param|hyperparameter|variable|[Ll]ist|pass"):
            hparams.parse(wrong)
    with pytest.raises(ValueError, match="reserved"):
        hparams.add_hparam("rate", 1)
    parse = find("training.parse_values", whose)
    assert parse("a[1]=2,a[0]=3", {"a": int}) == {"a": {1: 2, 0: 3}}


@both
def test_a_vocabulary_numbers_words_by_their_frequency(whose, tmp_path):
    documents = ["the cat sat on the mat", "The cat's mat, the mat", "zebra mat"]
    processor = find("learn.preprocessing.VocabularyProcessor", whose)(5, min_frequency=1)
    rows = np.array(list(processor.fit_transform(documents)))
    assert rows.tolist() == [[2, 0, 0, 0, 2], [0, 0, 1, 2, 1], [0, 1, 0, 0, 0]]
    assert len(processor.vocabulary_) == 3
    processor.save(str(tmp_path / "vocabulary"))
    again = type(processor).restore(str(tmp_path / "vocabulary"))
    assert list(again.reverse(rows[2:])) == ["<UNK> mat <UNK> <UNK> <UNK>"]


@both
def test_mnist_is_read_in_shuffled_batches(whose, tmp_path):
    for prefix, count in (("train", 6), ("t10k", 2)):
        images, labels = np.arange(count * 4, dtype=np.uint8), np.arange(count, dtype=np.uint8)
        with gzip.open(str(tmp_path / (prefix + "-images-idx3-ubyte.gz")), "wb") as file:
            file.write(struct.pack(">IIII", 2051, count, 2, 2) + images.tobytes())
        with gzip.open(str(tmp_path / (prefix + "-labels-idx1-ubyte.gz")), "wb") as file:
            file.write(struct.pack(">II", 2049, count) + labels.tobytes())
    mnist = importlib.import_module(
        "tf1_wd.legacy.standins.data.mnist"
        if whose == "ours"
        else "tensorflow.contrib.learn.python.learn.datasets.mnist"
    )
    data = mnist.read_data_sets(str(tmp_path), one_hot=True, validation_size=1, seed=3)
    assert (data.train.num_examples, data.validation.num_examples, data.test.num_examples) == (5, 1, 2)
    assert data.test.images.tolist() == (np.arange(8, dtype=np.float32).reshape(2, 4) * np.float32(1 / 255)).tolist()
    seen = [data.train.next_batch(2) for _ in range(5)]
    assert sorted(np.argmax(np.concatenate([labels for _, labels in seen]), 1)) == sorted([1, 2, 3, 4, 5] * 2)
    assert data.train.epochs_completed == 1
    for images, labels in seen:
        assert np.rint(images[:, 0] * 255 / 4).tolist() == np.argmax(labels, 1).tolist()


def test_a_data_file_that_is_nowhere_is_named(tmp_path):
    mnist = importlib.import_module("tf1_wd.legacy.standins.data.mnist")
    with pytest.raises(OSError, match=r"train-images-idx3-ubyte\.gz"):
        mnist.read_data_sets(str(tmp_path), source_url="file:///nowhere/")


@both
def test_an_optimizer_from_outside_minimizes_the_variables_of_a_graph(whose):
    class Descent(find("opt.ExternalOptimizerInterface", whose)):
        def _minimize(self, initial_val, loss_grad_func, **kwargs):
            x = initial_val
            for _ in range(100):
                x = x - 0.1 * loss_grad_func(x)[1]
            return x

    a, b = tf.get_variable("a", [2, 2]), tf.get_variable("b", [3])
    loss = tf.reduce_sum(tf.square(a - 2.0)) + tf.reduce_sum(tf.square(b + 1.0))
    seen = []
    with tf.Session() as session:
        optimizer = Descent(loss)
        session.run(tf.global_variables_initializer())
        optimizer.minimize(session, fetches=[loss], loss_callback=seen.append)
        values = session.run([a, b])
    np.testing.assert_allclose(np.concatenate([v.ravel() for v in values]), [2.0] * 4 + [-1.0] * 3, rtol=1e-5)
    assert len(seen) == 100
    assert seen[0] > seen[-1]


@both
def test_the_projector_config_is_written_beside_the_events(whose, tmp_path):
    config = find("tensorboard.plugins.projector.ProjectorConfig", whose)()
    embedding = config.embeddings.add()
    embedding.tensor_name, embedding.metadata_path = "table:0", "words.tsv"
    embedding.sprite.image_path = 'a "b".png'
    embedding.sprite.single_image_dim.extend([28, 28])
    writer = tf.summary.FileWriter(str(tmp_path))
    find("tensorboard.plugins.projector.visualize_embeddings", whose)(writer, config)
    writer.close()
    sprite = """sprite { image_path: "a \\"b\\".png" single_image_dim: 28 single_image_dim: 28 }"""
    wanted = """embeddings { tensor_name: "table:0" metadata_path: "words.tsv" %s }""" % sprite
    assert " ".join((tmp_path / "projector_config.pbtxt").read_text().split()) == wanted


@pytest.mark.skipif(IS_TF1, reason="it stands on tf.estimator of later releases")
def test_an_estimator_of_contrib_learn_fits_evaluates_and_predicts(tmp_path):
    with install():
        learn = importlib.import_module("tensorflow.contrib.learn")

        def model_fn(features, labels, mode, params):
            predictions = tf.layers.dense(features, 1)
            if mode == learn.ModeKeys.INFER:
                return learn.ModelFnOps(mode, predictions={"y": predictions})
            loss = tf.losses.mean_squared_error(labels, predictions)
            step = tf.train.get_global_step()
            train_op = tf.train.AdamOptimizer(params["rate"]).minimize(loss, step)
            return learn.ModelFnOps(mode, {"y": predictions}, loss, train_op)

        x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
        estimator = learn.Estimator(model_fn, model_dir=str(tmp_path), params={"rate": 0.3}, config=learn.RunConfig())
        estimator.fit(x, 3 * x + 1, steps=60)
        assert estimator.evaluate(x, 3 * x + 1)["loss"] < 0.1
        assert abs(next(iter(estimator.predict(x[:1])))["y"][0] + 2) < 0.5


@both
@pytest.mark.parametrize("mechanism", ["BahdanauAttention", "LuongAttention"])
def test_a_subclass_of_an_attention_finds_what_contrib_gave_it(whose, mechanism):
    class Own(find("seq2seq." + mechanism, whose)):
        def __call__(self, query, state):
            parts = (self._values, self._batch_size, self._alignments_size, self._memory_layer, self._query_layer)
            assert len(parts) == 5
            return self._probability_fn(tf.reduce_sum(self._keys, 2) * 0.0, state), state

    own = Own(4, tf.ones([2, 3, 5]), memory_sequence_length=tf.constant([3, 2]))
    probabilities, _ = own(None, tf.zeros([2, 3]))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        np.testing.assert_allclose(session.run(probabilities), [[1 / 3] * 3, [0.5, 0.5, 0.0]], rtol=1e-6)
