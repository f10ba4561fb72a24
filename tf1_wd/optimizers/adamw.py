"""AdamW and MomentumW as in tf.contrib.opt, and the optimizer classes that it makes of others."""

from __future__ import annotations

import inspect
import re
from typing import Any, Iterable

from tf1_wd._tf import tf
from tf1_wd.errors import InvalidOptionError
from tf1_wd.graph.variables import checkpoint_name
from tf1_wd.optimizers.extension import DecoupledWeightDecayExtension, WeightDecay


def extend_with_decoupled_weight_decay(base_optimizer: type) -> type:
    """A class: an optimizer with decoupled weight decay.

        w <- w - step - r w

    Args:
      base_optimizer: a class that inherits from tf.train.Optimizer.

    Returns: a class whose first argument is weight_decay, followed by those of base_optimizer, and whose `minimize` and
      `apply_gradients` take decay_var_list; see DecoupledWeightDecayExtension. The name= of base_optimizer is kept, and
      with it the names of its variables.

    Raises: InvalidOptionError if base_optimizer is not such a class, or has the extension already.

    Example:
      >>> RMSPropW = tf1_wd.extend_with_decoupled_weight_decay(tf.train.RMSPropOptimizer)
      >>> train_op = RMSPropW(1e-4, learning_rate=1e-3).minimize(loss, decay_var_list=kernels)

    Source: tf.contrib.opt.extend_with_decoupled_weight_decay of TensorFlow 1.15.
    """
    if not (inspect.isclass(base_optimizer) and issubclass(base_optimizer, tf.train.Optimizer)):
        raise InvalidOptionError(
            "extend_with_decoupled_weight_decay takes a class that inherits from tf.train.Optimizer; got %r"
            % (base_optimizer,)
        )
    if issubclass(base_optimizer, DecoupledWeightDecayExtension):
        raise InvalidOptionError(
            "%s has decoupled weight decay already: use it as it is, or extend the class behind it"
            % base_optimizer.__name__
        )

    class OptimizerWithDecoupledWeightDecay(DecoupledWeightDecayExtension, base_optimizer):
        """The optimizer, with weight_decay as its first argument."""

        def __init__(self, weight_decay: WeightDecay, *args: Any, **kwargs: Any) -> None:
            super().__init__(weight_decay, *args, **kwargs)

    return OptimizerWithDecoupledWeightDecay


class MomentumWOptimizer(DecoupledWeightDecayExtension, tf.train.MomentumOptimizer):
    """SGDW: tf.train.MomentumOptimizer with decoupled weight decay.

        m <- momentum m + g        w <- w - learning_rate m - weight_decay w

    Args:
      weight_decay: in [0, 1); see DecoupledWeightDecayExtension.
      learning_rate, momentum, use_locking, name, use_nesterov: as for tf.train.MomentumOptimizer.

    Raises: as DecoupledWeightDecayExtension.

    Example:
      >>> train_op = tf1_wd.MomentumWOptimizer(1e-4, 0.1, 0.9).minimize(loss, decay_var_list=kernels)

    Source: Loshchilov and Hutter (ICLR 2019), Algorithm 1; tf.contrib.opt.MomentumWOptimizer of TensorFlow 1.15.
    """

    def __init__(
        self,
        weight_decay: WeightDecay,
        learning_rate: float | tf.Tensor,
        momentum: float | tf.Tensor,
        use_locking: bool = False,
        name: str = "MomentumW",
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(weight_decay, learning_rate, momentum, use_locking, name, use_nesterov)


class AdamWOptimizer(DecoupledWeightDecayExtension, tf.train.AdamOptimizer):
    """AdamW: tf.train.AdamOptimizer with decoupled weight decay.

        w <- w - lr_t m_t / (sqrt(v_t) + epsilon) - weight_decay w

    The decay is not multiplied by the learning rate, as those of PyTorch and Keras are: theirs is
    weight_decay * learning_rate here, and both must follow a schedule.

    Args:
      weight_decay: in [0, 1); see DecoupledWeightDecayExtension.
      learning_rate, beta1, beta2, epsilon, use_locking, name: as for tf.train.AdamOptimizer.

    The slots of a variable w are w/AdamW and w/AdamW_1, as those of tf.contrib.opt; for checkpoints of
    tf.train.AdamOptimizer see `checkpoint_map`.

    Raises: as DecoupledWeightDecayExtension.

    Example:
      >>> train_op = tf1_wd.AdamWOptimizer(1e-5, learning_rate=1e-3).minimize(loss, decay_var_list=kernels)

    Source: Loshchilov and Hutter (ICLR 2019), Algorithm 2; tf.contrib.opt.AdamWOptimizer of TensorFlow 1.15.
    """

    def __init__(
        self,
        weight_decay: WeightDecay,
        learning_rate: float | tf.Tensor = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        use_locking: bool = False,
        name: str = "AdamW",
    ) -> None:
        super().__init__(weight_decay, learning_rate, beta1, beta2, epsilon, use_locking, name)


def checkpoint_map(
    optimizer: tf.train.Optimizer, saved_as: str = "Adam", variables: Iterable[tf.Variable] | None = None
) -> dict[str, Any]:
    """What a checkpoint of a program with another optimizer calls the variables of this one.

        w -> w        w/AdamW <- w/Adam        w/AdamW_1 <- w/Adam_1        beta1_power <- beta1_power

    Args:
      optimizer: a tf.train.Optimizer whose train_op is built, such as tf1_wd.AdamWOptimizer.
      saved_as: the name= of the optimizer that trained the checkpoint: "Adam", "Momentum", "AdamW", ...
      variables: list of tf.Variable to map; by default all global variables.

    Returns: {name in the checkpoint: variable}, a dict for tf.train.Saver and tf.train.init_from_checkpoint. The parts
      of a partitioned variable are a list. TensorFlow takes no variables of a MirroredStrategy in such a dict: there,
      and in any new program, AdamWOptimizer(..., name="Adam") reads a checkpoint of Adam without a map.

    Raises: InvalidOptionError if it is no tf.train.Optimizer, or has no slots yet.

    Example:
      >>> optimizer = tf1_wd.AdamWOptimizer(1e-4)
      >>> train_op = optimizer.minimize(loss)
      >>> tf.train.Saver(tf1_wd.checkpoint_map(optimizer)).restore(session, "trained_with_adam/model.ckpt")

    Source: the names that tf.train.Optimizer gives to slots: <variable>/<name of the optimizer>, then _1, _2, ...
    """
    if not isinstance(optimizer, tf.train.Optimizer):
        raise InvalidOptionError("optimizer=%r is no tf.train.Optimizer, such as tf1_wd.AdamWOptimizer" % (optimizer,))
    slots = {checkpoint_name(v) for v in optimizer.variables()}
    if not optimizer.get_slot_names():
        raise InvalidOptionError(
            "%s has no slots: build its train_op first. An optimizer that never has any needs no map"
            % optimizer.get_name()
        )
    ending = re.compile(r"/%s(_\d+)?$" % re.escape(optimizer.get_name()))
    found: dict[str, Any] = {}
    for v in tf.global_variables() if variables is None else variables:
        part_of = v.to_proto().save_slice_info_def.full_name
        name = part_of or checkpoint_name(v)
        if checkpoint_name(v) in slots:
            name = ending.sub(lambda match: "/%s%s" % (saved_as, match.group(1) or ""), name)
        if part_of:
            found.setdefault(name, []).append(v)
        else:
            found[name] = v
    return found
