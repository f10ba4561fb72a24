"""Predicates for include= and exclude=; they need no TensorFlow."""

from __future__ import annotations

from typing import Any

from tf1_wd.errors import InvalidOptionError


def bias_and_norm(variable: Any) -> bool:
    """True for a variable of one dimension or none, as biases and the scales and offsets of normalizations are.

        len(variable.shape) < 2

    The number of dimensions decides, and no name: a weight that is a single number, or a vector of them, counts too,
    and a bias of two dimensions (of a locally connected layer) does not. A part of a partitioned variable has as many
    dimensions as the whole.

    Args:
      variable: anything with a shape: tf.Variable, a variable of Keras, an array.

    Raises: InvalidOptionError if the number of dimensions is unknown.

    Example:
      >>> tf1_wd.decoupled_weight_decay(rates=1e-4, exclude=tf1_wd.bias_and_norm)

    Source: what most recipes for PyTorch, and timm, do (`p.ndim < 2`); BERT names the same variables
      (LayerNorm, layer_norm, bias) by pattern.
    """
    try:
        return len(variable.shape) < 2
    except ValueError as error:  # of a TensorShape without a rank
        raise InvalidOptionError(
            "%s has an unknown number of dimensions, so it cannot be told whether it is a bias: select it by name"
            % variable.name
        ) from error
