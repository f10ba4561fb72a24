"""The weight-decay optimizers of tf.contrib.opt: var <- var - weight_decay * var before each variable's update.

As there, the decay is not ordered with the gradients that read the weights; tf1_wd.decoupled_weight_decay(
convention="contrib") means the same rule, ordered.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf


class DecoupledWeightDecayExtension:
    """Decays what an optimizer updates. Mix it in before the optimizer's class.

    weight_decay: a float, a tensor or a function of nothing. decay_var_list, in minimize and apply_gradients: the
    variables to decay, all if it is None. Of a table with a sparse gradient, the rows in the gradient decay.
    """

    def __init__(self, weight_decay, **kwargs):
        self._weight_decay = weight_decay
        self._weight_decay_tensor = None
        self._decay_var_list = None
        super().__init__(**kwargs)

    def minimize(self, loss, global_step=None, var_list=None, decay_var_list=None, name=None, **kwargs):
        pairs = self.compute_gradients(loss, var_list=var_list, **kwargs)
        if not any(gradient is not None for gradient, _ in pairs):
            raise ValueError(
                "No gradients provided for any variable, between %s and loss %s." % ([v for _, v in pairs], loss)
            )
        return self.apply_gradients(pairs, global_step=global_step, name=name, decay_var_list=decay_var_list)

    def apply_gradients(self, grads_and_vars, global_step=None, name=None, decay_var_list=None):
        self._decay_var_list = {v.op.name for v in decay_var_list} if decay_var_list else None
        return super().apply_gradients(grads_and_vars, global_step=global_step, name=name)

    def _prepare(self):
        value = self._weight_decay() if callable(self._weight_decay) else self._weight_decay
        self._weight_decay_tensor = tf.convert_to_tensor(value, name="weight_decay")
        super()._prepare()

    def _decays(self, var):
        return self._decay_var_list is None or var.op.name in self._decay_var_list

    def _rate(self, var):
        return tf.cast(self._weight_decay_tensor, var.dtype.base_dtype)

    def _after_decay(self, var):
        if not self._decays(var):
            return tf.control_dependencies([])
        return tf.control_dependencies([tf.assign_sub(var, self._rate(var) * var, use_locking=self._use_locking)])

    def _after_decay_of(self, var, indices):
        if not self._decays(var):
            return tf.control_dependencies([])
        rows = self._rate(var) * tf.gather(var, indices)
        return tf.control_dependencies([tf.scatter_sub(var, indices, rows, use_locking=self._use_locking)])

    def _apply_dense(self, grad, var):
        with self._after_decay(var):
            return super()._apply_dense(grad, var)

    def _resource_apply_dense(self, grad, var):
        with self._after_decay(var):
            return super()._resource_apply_dense(grad, var)

    def _apply_sparse(self, grad, var):
        with self._after_decay_of(var, grad.indices):
            return super()._apply_sparse(grad, var)

    def _resource_apply_sparse(self, grad, var, indices):
        with self._after_decay_of(var, indices):
            return super()._resource_apply_sparse(grad, var, indices)


def extend_with_decoupled_weight_decay(base_optimizer):
    """A class: base_optimizer with weight_decay as its first argument."""

    class OptimizerWithDecoupledWeightDecay(DecoupledWeightDecayExtension, base_optimizer):
        """The optimizer, with decoupled weight decay."""

        def __init__(self, weight_decay, *args, **kwargs):
            base_optimizer.__init__(self, *args, **kwargs)
            self._weight_decay = weight_decay
            self._weight_decay_tensor = None
            self._decay_var_list = None

    return OptimizerWithDecoupledWeightDecay


class MomentumWOptimizer(DecoupledWeightDecayExtension, tf.train.MomentumOptimizer):
    """Momentum, with decoupled weight decay."""

    def __init__(self, weight_decay, learning_rate, momentum, use_locking=False, name="MomentumW", use_nesterov=False):
        super().__init__(
            weight_decay,
            learning_rate=learning_rate,
            momentum=momentum,
            use_locking=use_locking,
            name=name,
            use_nesterov=use_nesterov,
        )


class AdamWOptimizer(DecoupledWeightDecayExtension, tf.train.AdamOptimizer):
    """Adam, with decoupled weight decay."""

    def __init__(
        self,
        weight_decay,
        learning_rate=0.001,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        use_locking=False,
        name="AdamW",
    ):
        super().__init__(
            weight_decay,
            learning_rate=learning_rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            use_locking=use_locking,
            name=name,
        )
