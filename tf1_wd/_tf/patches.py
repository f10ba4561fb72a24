"""What TensorFlow's own functions and methods are replaced by for a time, so that their calls are heard."""

from __future__ import annotations

import contextlib
import inspect
import threading

import tensorflow.compat.v1 as tf
from tensorflow.python.client import session as session_module
from tensorflow.python.ops import gradients_util


@contextlib.contextmanager
def patched_attribute(owner, name, value):
    """Sets owner.name for the time of the block; an instance attribute that was not there goes away again."""
    absent = object()
    own = getattr(owner, "__dict__", None)  # a tf.Graph of 2.x has none
    before = getattr(owner, name) if own is None else own.get(name, absent)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is absent:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


@contextlib.contextmanager
def patched_apply_gradients(base, override):
    """For the time of the block, tf.train.Optimizer.apply_gradients and its overrides go through two wrappers.

    base: f(original, optimizer, grads_and_vars, global_step, name, **kwargs), for the method of tf.train.Optimizer.
    override: f(original, optimizer, *args, **kwargs), for each subclass that defines its own, before or in the block.
    """

    def wrap_base(original):
        def apply_gradients(self, grads_and_vars, global_step=None, name=None, **kwargs):
            return base(original, self, grads_and_vars, global_step, name, **kwargs)

        return apply_gradients

    def wrap_override(original):
        def apply_gradients(self, *args, **kwargs):
            return override(original, self, *args, **kwargs)

        return apply_gradients

    with contextlib.ExitStack() as stack:
        patched = set()

        def patch(cls, wrap=wrap_override):
            if cls not in patched and "apply_gradients" in vars(cls):
                stack.enter_context(patched_attribute(cls, "apply_gradients", wrap(cls.apply_gradients)))
            patched.add(cls)
            for subclass in cls.__subclasses__():
                patch(subclass)

        def patch_new(cls, **kwargs):
            super(tf.train.Optimizer, cls).__init_subclass__(**kwargs)
            patch(cls)

        patch(tf.train.Optimizer, wrap_base)
        stack.enter_context(patched_attribute(tf.train.Optimizer, "__init_subclass__", classmethod(patch_new)))
        yield


@contextlib.contextmanager
def patched_gradients(wrapper):
    """For the time of the block, every symbolic gradient goes through `wrapper(compute, arguments)`.

    arguments: the call's arguments by name (ys, xs, grad_ys, stop_gradients, ...), which the wrapper may change
    before it calls `compute(**arguments)`. Nested calls (gradients of functions and loop bodies) are left alone.

    Private: gradients_util._GradientsHelper(ys, xs, grad_ys, ..., stop_gradients, ...).
    """
    compute = gradients_util._GradientsHelper
    signature = inspect.signature(compute)
    thread = threading.local()

    def helper(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if getattr(thread, "running", False) or bound.arguments["src_graph"] is not None:
            return compute(*args, **kwargs)
        thread.running = True
        try:
            return wrapper(compute, dict(bound.arguments))
        finally:
            thread.running = False

    with patched_attribute(gradients_util, "_GradientsHelper", helper):
        yield


@contextlib.contextmanager
def patched_sessions(before_run):
    """For the time of the block, `before_run(graph, ops)` is called before a session of any thread runs `ops`.

    So it is before each call of what Session.make_callable returns, and of the callables of Keras in graph mode.

    Private: session.BaseSession, its _do_run(handle, target_list, fetch_list, ...) and
    _make_callable_from_options(callable_options), which takes fetches and targets by name.
    """
    base = session_module.BaseSession
    do_run, make_callable, from_options = base._do_run, base.make_callable, base._make_callable_from_options

    def run(self, handle, target_list, fetch_list, *args, **kwargs):
        before_run(self.graph, [*target_list, *(tensor.op for tensor in fetch_list)])
        return do_run(self, handle, target_list, fetch_list, *args, **kwargs)

    def make(self, fetches, *args, **kwargs):
        return watched(self.graph, tf.nest.flatten(fetches), make_callable(self, fetches, *args, **kwargs))

    def make_from_options(self, options):
        return watched(self.graph, [*options.fetch, *options.target], from_options(self, options))

    def watched(graph, fetches, function):
        elements = [graph.as_graph_element(fetch) for fetch in fetches]
        ops = [getattr(element, "op", element) for element in elements]

        def call(*args, **kwargs):
            before_run(graph, ops)
            return function(*args, **kwargs)

        return call

    with contextlib.ExitStack() as stack:
        patches = {"_do_run": run, "make_callable": make, "_make_callable_from_options": make_from_options}
        for name, function in patches.items():
            stack.enter_context(patched_attribute(base, name, function))
        yield
