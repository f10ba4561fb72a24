"""Estimators of tf.contrib.learn over those of tf.estimator: fit, evaluate and predict, Experiment and learn_runner."""

from __future__ import annotations

import collections
import inspect
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf


class ModeKeys:
    """What a model_fn is called for."""

    TRAIN, EVAL, INFER = "train", "eval", "infer"


_Answer = collections.namedtuple("_Answer", "mode predictions loss train_op eval_metric_ops scaffold training_hooks")


class ModelFnOps(_Answer):
    """What a model_fn answers; see tf.estimator.EstimatorSpec."""

    def __new__(
        cls,
        mode,
        predictions=None,
        loss=None,
        train_op=None,
        eval_metric_ops=None,
        output_alternatives=None,
        training_chief_hooks=None,
        training_hooks=None,
        scaffold=None,
    ):
        hooks = [*(training_chief_hooks or []), *(training_hooks or [])]
        return super().__new__(cls, mode, predictions, loss, train_op, eval_metric_ops or {}, scaffold, hooks)


def RunConfig(master=None, num_cores=0, log_device_placement=False, gpu_memory_fraction=1, **kwargs):
    """tf.estimator.RunConfig, with a session config of these devices.

    master is for clusters, which TF_CONFIG describes now.
    """
    if "session_config" not in kwargs:
        kwargs["session_config"] = tf.ConfigProto(
            log_device_placement=log_device_placement,
            inter_op_parallelism_threads=num_cores,
            intra_op_parallelism_threads=num_cores,
            gpu_options=tf.GPUOptions(per_process_gpu_memory_fraction=gpu_memory_fraction),
        )
    secs, steps = kwargs.get("save_checkpoints_secs"), kwargs.get("save_checkpoints_steps")
    if steps is not None and secs is not None:
        del kwargs["save_checkpoints_secs"]
    return tf.estimator.RunConfig(**{name: value for name, value in kwargs.items() if value is not None})


def _spec(answer, mode):
    """An EstimatorSpec of what a model_fn of tf.contrib.learn answers."""
    if isinstance(answer, tf.estimator.EstimatorSpec):
        return answer
    if not isinstance(answer, ModelFnOps):
        predictions, loss, train_op = answer
        answer = ModelFnOps(mode, predictions, loss, train_op)
    return tf.estimator.EstimatorSpec(**{**answer._asdict(), "mode": mode})


def _input_fn(x, y, input_fn, batch_size, shuffle, epochs):
    if input_fn is not None:
        return input_fn
    if x is None:
        raise ValueError("Either x or input_fn must be provided.")
    x = {name: np.asarray(v) for name, v in x.items()} if isinstance(x, dict) else np.asarray(x)
    size = batch_size or len(next(iter(x.values())) if isinstance(x, dict) else x)
    y = None if y is None else np.asarray(y)
    return tf.estimator.inputs.numpy_input_fn(x, y, batch_size=size, num_epochs=epochs, shuffle=shuffle)


class _Fit:
    """fit, evaluate and predict, over the train, evaluate and predict of `self.estimator`."""

    estimator: Any = None

    def fit(self, x=None, y=None, input_fn=None, steps=None, batch_size=None, monitors=None, max_steps=None):
        """Trains; returns self. monitors are hooks."""
        feed = _input_fn(x, y, input_fn, batch_size, True, None)
        self.estimator.train(feed, hooks=list(monitors or []), steps=steps, max_steps=max_steps)
        return self

    def partial_fit(self, x=None, y=None, input_fn=None, steps=1, batch_size=None, monitors=None):
        """Trains some steps more; returns self."""
        return self.fit(x, y, input_fn, steps=steps, batch_size=batch_size, monitors=monitors)

    def evaluate(
        self, x=None, y=None, input_fn=None, batch_size=None, steps=None, metrics=None, name=None,
        checkpoint_path=None, hooks=None,
    ):  # fmt: skip
        """{name: value} of the loss and the metrics of the model_fn. Raises: ValueError for `metrics`."""
        if metrics:
            raise ValueError("Metrics belong into the model_fn's eval_metric_ops; `metrics` is not there")
        feed = _input_fn(x, y, input_fn, batch_size, False, 1)
        return self.estimator.evaluate(feed, steps=steps, hooks=hooks, checkpoint_path=checkpoint_path, name=name)

    def predict(self, x=None, input_fn=None, batch_size=None, outputs=None, as_iterable=True):
        """An iterator over predictions, those of the names in outputs alone if given; or an array of all."""
        feed = _input_fn(x, None, input_fn, batch_size, False, 1)
        found = self.estimator.predict(feed)
        if outputs is not None:
            found = ({name: p[name] for name in outputs} for p in found)
        return found if as_iterable else np.array(list(found))

    def __getattr__(self, name):  # model_dir, config, get_variable_value, export_savedmodel ...
        if name == "estimator":
            raise AttributeError(name)
        return getattr(self.estimator, name)


class Estimator(_Fit):
    """An estimator of a model_fn(features, labels, mode, params, config), which answers ModelFnOps or a tuple."""

    def __init__(self, model_fn=None, model_dir=None, config=None, params=None, feature_engineering_fn=None):
        names = inspect.signature(model_fn).parameters

        def call(features, labels, mode, params, config):
            if feature_engineering_fn is not None:
                features, labels = feature_engineering_fn(features, labels)
            given = {"mode": mode, "params": params, "config": config, "model_dir": model_dir}
            return _spec(model_fn(features, labels, **{n: v for n, v in given.items() if n in names}), mode)

        self.estimator = tf.estimator.Estimator(call, model_dir=model_dir, config=config, params=params or {})


def _premade(name):
    def __init__(self, *args, **kwargs):
        kwargs.pop("enable_centered_bias", None)
        kwargs.pop("gradient_clip_norm", None)
        self.estimator = getattr(tf.estimator, name)(*args, **kwargs)

    return type(name, (_Fit,), {"__init__": __init__, "__doc__": "tf.estimator.%s with fit." % name})


DNNClassifier = _premade("DNNClassifier")
DNNRegressor = _premade("DNNRegressor")
DNNLinearCombinedClassifier = _premade("DNNLinearCombinedClassifier")
DNNLinearCombinedRegressor = _premade("DNNLinearCombinedRegressor")
LinearClassifier = _premade("LinearClassifier")
LinearRegressor = _premade("LinearRegressor")


class Experiment:
    """An estimator, what it trains on and what it is evaluated on."""

    def __init__(
        self, estimator, train_input_fn, eval_input_fn, eval_metrics=None, train_steps=None, eval_steps=100,
        train_monitors=None, eval_hooks=None, min_eval_frequency=None, **unused,
    ):  # fmt: skip
        self.estimator = getattr(estimator, "estimator", estimator)
        self._train_input_fn, self._eval_input_fn = train_input_fn, eval_input_fn
        self._train_steps, self._eval_steps = train_steps, eval_steps
        self._train_hooks, self._eval_hooks = list(train_monitors or []), eval_hooks

    def train(self, delay_secs=None):
        """Trains up to train_steps."""
        self.estimator.train(self._train_input_fn, hooks=self._train_hooks, max_steps=self._train_steps)

    def evaluate(self, delay_secs=None, name=None):
        """{name: value} of the metrics."""
        return self.estimator.evaluate(self._eval_input_fn, steps=self._eval_steps, hooks=self._eval_hooks, name=name)

    def train_and_evaluate(self):
        """Trains, evaluating at checkpoints; the metrics at the end."""
        train = tf.estimator.TrainSpec(self._train_input_fn, max_steps=self._train_steps, hooks=self._train_hooks)
        evaluation = tf.estimator.EvalSpec(self._eval_input_fn, steps=self._eval_steps, hooks=self._eval_hooks)
        return tf.estimator.train_and_evaluate(self.estimator, train, evaluation)[0], []

    continuous_train_and_eval = train_and_evaluate

    def test(self):
        """One step of training, one of evaluation."""
        self.estimator.train(self._train_input_fn, steps=1)
        return self.estimator.evaluate(self._eval_input_fn, steps=1), []


def run(experiment_fn, output_dir=None, schedule=None, run_config=None, hparams=None):
    """learn_runner.run: what schedule, a method of the Experiment, answers; train_and_evaluate if there is none."""
    if (output_dir is None) == (run_config is None):
        raise ValueError("learn_runner.run() takes output_dir or run_config, one of the two")
    experiment = experiment_fn(output_dir) if run_config is None else experiment_fn(run_config, hparams)
    return getattr(experiment, schedule or "train_and_evaluate")()
