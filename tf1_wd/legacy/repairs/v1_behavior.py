"""Graph mode and the other behaviors of TF 1, on TensorFlow 2; reversible where TensorFlow itself is."""

from __future__ import annotations


def put_behavior(stack):
    """Switches TF 2's behavior off: tf.compat.v1.disable_v2_behavior().

    Closing switches it on again as a whole, or, where the default graph has been used meanwhile, not at all: TensorFlow
    refuses to go back to eager execution then. TensorFlow must be imported.

    Private: tf2.enabled, deprecation.silence (2.15.1, 2.21.0).
    """
    import tensorflow.compat.v1 as v1
    from tensorflow.python import tf2
    from tensorflow.python.util import deprecation

    if tf2.enabled():
        with deprecation.silence():  # it would tell that TF 1's variables are not supported in the long term
            v1.disable_v2_behavior()
        stack.callback(_go_back, v1)


def _go_back(v1):
    try:
        v1.enable_v2_behavior()
    except ValueError:  # the default graph has been used
        v1.disable_v2_behavior()
