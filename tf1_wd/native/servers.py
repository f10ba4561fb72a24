"""Asks the processes of a cluster whether they have the compiled op, before the training does."""

from __future__ import annotations

from tf1_wd._tf import tf
from tf1_wd.errors import NativeOpError
from tf1_wd.native import loader


def check_servers(target: str | tf.Session, config: tf.ConfigProto | None = None) -> None:
    """Runs the decay op once in every task of a cluster: w <- w - (rate * scale) * w, on a weight that nobody keeps.

    Without it, what says that a process has not loaded the op is TensorFlow, in the first step ("Op type not registered
    'Tf1WdDecay'"). Waits for the tasks to be up, as any session does.

    Args:
      target: what the training session connects to: `server.target`, or a tf.Session.
      config: tf.ConfigProto of the training session; its device_filters say which tasks it uses. Default: all.

    Raises: NativeOpError, which names the tasks that have not loaded the op; or this process, if it cannot.

    Example:
      >>> tf1_wd.check_servers(server.target)
      >>> with tf1_wd.decoupled_weight_decay(backend="native"):
      ...     train_op = optimizer.minimize(loss, global_step)

    Source: the master of a session registers a step's ops with each task, which knows those it has loaded.
    """
    loader.native_ops()
    target = getattr(target, "sess_str", target)
    with tf.Graph().as_default(), tf.Session(target, config=config) as session:
        specs = [tf.DeviceSpec.from_string(device.name) for device in session.list_devices()]
        tasks = sorted({"/job:%s/task:%d" % (spec.job, spec.task) for spec in specs})
        missing = [task for task in tasks if not _decays(session, task)]
    if missing:
        raise NativeOpError(
            "the compiled decay op is not loaded in %s: call tf1_wd.load_native_op() there before training, with "
            'tf1_wd of the same version as here, or drop backend="native"' % ", ".join(missing)
        )


def _decays(session: tf.Session, task: str) -> bool:
    try:
        return session.run(_decayed_weight(task)) == [0.5]
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError):  # not known there; known with other arguments
        return False


def _decayed_weight(task: str) -> tf.Tensor:
    """A tensor that is computed by the op, on the CPU of a task; its weight lives for one run."""
    name = "tf1_wd_check"
    with tf.device("%s/cpu:0" % task):
        weight = tf.raw_ops.TemporaryVariable(shape=[1], dtype=tf.float32, var_name=name)
        with tf.control_dependencies([tf.assign(weight, [1.0])]):
            decay = loader.native_ops().tf1_wd_decay([weight], 0.5, 1.0)
        with tf.control_dependencies([decay]):
            return tf.raw_ops.DestroyTemporaryVariable(ref=weight, var_name=name)
