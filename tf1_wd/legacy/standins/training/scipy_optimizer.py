"""Optimizers from outside of the graph, as in tf.contrib.opt: SciPy's."""

from __future__ import annotations

import importlib

import numpy as np
import tensorflow.compat.v1 as tf


class ExternalOptimizerInterface:
    """Hands loss and gradient, as functions of one flat vector, to an optimizer: subclass it, and write _minimize.

    var_list: all trainable variables if None. equalities, inequalities: tensors that shall be 0, or at least 0.
    var_to_bounds: {variable: (low, high)}.
    """

    def __init__(self, loss, var_list=None, equalities=None, inequalities=None, var_to_bounds=None, **optimizer_kwargs):
        self._loss = loss
        self._equalities = equalities or []
        self._inequalities = inequalities or []
        self._vars = tf.trainable_variables() if var_list is None else list(var_list)
        self.optimizer_kwargs = optimizer_kwargs
        self._packed_bounds = self._bounds(var_to_bounds) if var_to_bounds else None
        self._placeholders = [tf.placeholder(v.dtype.base_dtype) for v in self._vars]
        self._updates = tf.group(
            *[tf.assign(v, tf.reshape(p, v.shape.as_list())) for v, p in zip(self._vars, self._placeholders)]
        )
        self._packed_var = self._pack(self._vars)
        self._packed_loss_grad = self._gradient(loss)
        self._packed_equality_grads = [self._gradient(e) for e in self._equalities]
        self._packed_inequality_grads = [self._gradient(i) for i in self._inequalities]
        ends = np.cumsum([0] + [v.shape.num_elements() for v in self._vars])
        self._slices = [slice(start, end) for start, end in zip(ends[:-1], ends[1:])]

    def _bounds(self, var_to_bounds):
        given = {v.op.name: bounds for v, bounds in var_to_bounds.items()}
        low, high = [], []
        for v in self._vars:
            bounds = given.get(v.op.name, (-np.inf, np.inf))
            low.extend(np.broadcast_to(bounds[0], v.shape.as_list()).flat)
            high.extend(np.broadcast_to(bounds[1], v.shape.as_list()).flat)
        return list(zip(low, high))

    @staticmethod
    def _pack(tensors):
        return tf.concat([tf.reshape(t, [-1]) for t in tensors], 0)

    def _gradient(self, tensor):
        gradients = tf.gradients(tensor, self._vars)
        return self._pack([tf.zeros_like(v) if g is None else g for v, g in zip(self._vars, gradients)])

    def minimize(
        self, session=None, feed_dict=None, fetches=None, step_callback=None, loss_callback=None, **run_kwargs
    ):
        """Minimizes, and leaves the result in the variables.

        loss_callback: a function of the values of fetches, called with every loss. step_callback: of the flat vector.
        """
        session = session or tf.get_default_session()
        fetches = list(fetches or [])

        def assign(x, **kwargs):
            values = [x[s] for s in self._slices]
            session.run(self._updates, feed_dict=dict(zip(self._placeholders, values)), **kwargs)

        def function(tensors, callback=None):
            def evaluate(x):
                assign(x)
                values = session.run(tensors + fetches, feed_dict=feed_dict)
                if callback is not None:
                    callback(*values[len(tensors) :])
                return values[: len(tensors)]

            return evaluate

        result = self._minimize(
            initial_val=session.run(self._packed_var),
            loss_grad_func=function([self._loss, self._packed_loss_grad], loss_callback),
            equality_funcs=[function([e]) for e in self._equalities],
            equality_grad_funcs=[function([g]) for g in self._packed_equality_grads],
            inequality_funcs=[function([i]) for i in self._inequalities],
            inequality_grad_funcs=[function([g]) for g in self._packed_inequality_grads],
            packed_bounds=self._packed_bounds,
            step_callback=step_callback or (lambda xk: None),
            optimizer_kwargs=self.optimizer_kwargs,
        )
        assign(result, **run_kwargs)

    def _minimize(self, **given):
        """The flat vector where the loss is least; `given` is what ScipyOptimizerInterface takes here."""
        raise NotImplementedError(
            "To use ExternalOptimizerInterface, subclass from it and implement the _minimize() method."
        )


class ScipyOptimizerInterface(ExternalOptimizerInterface):
    """scipy.optimize.minimize on the variables of a graph; method="L-BFGS-B" and options={...} are its own."""

    _DEFAULT_METHOD = "L-BFGS-B"

    def _minimize(  # type: ignore[override]
        self,
        initial_val,
        loss_grad_func,
        equality_funcs,
        equality_grad_funcs,
        inequality_funcs,
        inequality_grad_funcs,
        packed_bounds,
        step_callback,
        optimizer_kwargs,
    ):
        optimize = importlib.import_module("scipy.optimize")

        def loss_and_gradient(x):
            loss, gradient = loss_grad_func(x)
            return loss, gradient.astype("float64")

        pairs = [("eq", *p) for p in zip(equality_funcs, equality_grad_funcs)]
        pairs += [("ineq", *p) for p in zip(inequality_funcs, inequality_grad_funcs)]
        given = {
            "jac": True,
            "callback": step_callback,
            "method": optimizer_kwargs.get("method", self._DEFAULT_METHOD),
            "constraints": [
                {"type": kind, "fun": lambda x, f=f: f(x)[0], "jac": lambda x, g=g: g(x)[0]} for kind, f, g in pairs
            ],
            "bounds": packed_bounds,
        }
        for name in sorted(set(given) & set(optimizer_kwargs) - {"method"}):
            raise ValueError("Optimizer keyword arg '%s' is set automatically and cannot be injected manually" % name)
        result = optimize.minimize(loss_and_gradient, initial_val, **{**optimizer_kwargs, **given})
        tf.logging.info("Optimization terminated: %s, loss %s" % (result.message, result.fun))
        return result["x"]
