"""Decays three elements by a compiled op: python -m tf1_wd.native.try_library LIBRARY.

It is a process of its own, and not the one that trains: a library that is cut off, or made for another TensorFlow, can
end its process. The status is 0 if the op is right.
"""

from __future__ import annotations

import sys

from tf1_wd._tf import tf


def main(path: str) -> str | None:
    """What is wrong with the library, or None."""
    try:
        ops = tf.load_op_library(path)
    except tf.errors.OpError as error:
        return "it does not load: %s" % error.message
    if not (hasattr(ops, "tf1_wd_decay") and hasattr(ops, "tf1_wd_resource_decay")):
        return "it does not hold the ops of tf1_wd"
    start, rate = [1.0, -2.0, 4.0], 0.25
    with tf.Graph().as_default(), tf.device("/cpu:0"), tf.Session() as session:
        reference = tf.get_variable("reference", initializer=start, use_resource=False)
        resource = tf.get_variable("resource", initializer=start, use_resource=True)
        session.run([reference.initializer, resource.initializer])
        session.run(ops.tf1_wd_decay([reference.op.outputs[0]], rate, 1.0))
        session.run(ops.tf1_wd_resource_decay([resource.handle], rate, 1.0, T=tf.float32))
        for kind, found in zip(("reference", "resource"), session.run([reference, resource])):
            if found.tolist() != [w - rate * w for w in start]:
                return "it decays a %s variable %s by %g to %s" % (kind, start, rate, found.tolist())
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
