"""What the parameter servers must hold after a training, in NumPy and float64."""

import re

import numpy as np
import tensorflow.compat.v1 as tf
import train

FLAGS = train.FLAGS
FLAGS([__file__])  # the defaults, with which the tasks train too

# float32 rounds by 6e-8, and of errors, too, 5 % a step are forgotten
TOLERANCE = 1e-5


def read_variables(args, target=""):
    """{name: value} of the model's variables, as they are on the parameter servers, or as training begins with them.

    args: those of the launcher. target: of a parameter server. Partitioned variables are given in parts.
    """
    if args.kind == "resource":
        tf.enable_resource_variables()
    placement = tf.train.replica_device_setter(args.ps, worker_device="/job:ps/task:0") if target else None
    config = tf.ConfigProto(device_filters=["/job:ps"] if target else [])
    with tf.Graph().as_default(), tf.device(placement):
        train.build_model(args.ps)
        variables = tf.global_variables()
        with tf.Session(target, config=config) as sess:
            if not target:
                sess.run(tf.global_variables_initializer())
            return {v.op.name: sess.run(v).astype(np.float64) for v in variables}


def report(values, worker_steps, args):
    """Lines that tell how the training went, and whether all is as it must be.

    values: what read_variables found. worker_steps: how often each worker ran the train_op, None if it was killed.
    """
    updates = int(values["global_step"])
    lines = [
        "TensorFlow %s, %s, %d workers, %d parameter servers, %s variables, decay %s the update, backend %s"
        % (
            tf.version.VERSION,
            "sync" if args.sync else "async",
            args.workers,
            args.ps,
            args.kind,
            args.order,
            args.backend,
        ),
        "runs of the train_op, by worker: %s" % ", ".join("unknown" if n is None else str(n) for n in worker_steps),
        "applied updates (global step): %d" % updates,
    ]
    holds = [updates >= args.steps]
    if None not in worker_steps:
        holds.append(updates == (max(worker_steps) if args.sync else sum(worker_steps)))
    for name in sorted(values):
        if name.startswith("witness/"):
            decays, error = count_decays(values[name])
            holds += [decays == updates, error < TOLERANCE]
            lines.append("decays of %s: %d (to %.0e)" % (name, decays, error))
    weights = joined(values)
    # A restarted chief averages one gradient from before its checkpoint into its first update.
    if args.sync and not args.kill_chief:
        shards = [train.shard(index, args.workers) for index in range(args.workers)]
        expected = replay(joined(read_variables(args)), shards, updates, args.order)
        for name in expected:
            error = np.abs(weights[name] - expected[name]).max() / np.abs(expected[name]).max()
            holds.append(error < TOLERANCE)
            lines.append("%s differ from NumPy's by %.0e of the largest" % (name, error))
    return [*lines, "test accuracy: %.3f" % accuracy(weights)], all(holds)


def count_decays(witness):
    """(how often a weight of 1 must have decayed to be as it is, relative difference to exactly that)."""
    keep = 1 - FLAGS.weight_decay
    decays = np.rint(np.log(witness.max()) / np.log(keep))
    return decays, np.abs(witness / keep**decays - 1).max()


def joined(values):
    """The parts of each partitioned variable as one array."""
    parts = {}
    for name in sorted(values, key=lambda name: (len(name), name)):
        parts.setdefault(re.sub(r"/part_\d+$", "", name), []).append(values[name])
    return {name: found[0] if len(found) == 1 else np.concatenate(found) for name, found in parts.items()}


def replay(weights, shards, steps, order):
    """The synchronous training: the mean of the workers' gradients, Momentum, and one decay an update."""
    velocity = dict.fromkeys(weights, 0.0)
    for _ in range(steps):
        gradients = [data_gradient(weights, *shard) for shard in shards]
        for name in gradients[0]:
            velocity[name] = train.MOMENTUM * velocity[name] + np.mean([g[name] for g in gradients], axis=0)
        for name in gradients[0]:
            w, step = weights[name], FLAGS.learning_rate * velocity[name]
            rate = FLAGS.weight_decay if name.endswith("weights") else 0.0
            weights[name] = (1 - rate) * (w - step) if order == "after" else w - step - rate * w
    return {name: weights[name] for name in gradients[0]}


def data_gradient(weights, images, labels):
    """The gradient of the cross entropy alone."""
    hidden, logits = forward(weights, images)
    error = np.exp(logits - logits.max(axis=1, keepdims=True))
    error /= error.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    error /= len(labels)
    back = (error @ weights["logits/weights"].T) * (1 - hidden**2)
    return {
        "hidden/weights": images.T @ back,
        "hidden/biases": back.sum(axis=0),
        "logits/weights": hidden.T @ error,
        "logits/biases": error.sum(axis=0),
    }


def forward(weights, images):
    hidden = np.tanh(images @ weights["hidden/weights"] + weights["hidden/biases"])
    return hidden, hidden @ weights["logits/weights"] + weights["logits/biases"]


def accuracy(weights):
    """Share of the test digits that get the right label."""
    images, labels = train.load_digits()[1]
    return np.mean(forward(weights, images)[1].argmax(axis=1) == labels)
