"""Trains a small network on the UCI optical digits, on parameter servers and workers.

python train.py --job_name=worker --task_index=0 --ps_hosts=localhost:2222,localhost:2223 \
    --worker_hosts=localhost:2224,localhost:2225 --sync
"""

import os
import time

import numpy as np
import tensorflow.compat.v1 as tf

import tf1_wd

tf.disable_v2_behavior()

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data", "optical_digits.npz")
NUM_TRAIN = 1000
NUM_PIXELS = 64
NUM_HIDDEN = 32
NUM_CLASSES = 10
MOMENTUM = 0.9

tf.app.flags.DEFINE_string("job_name", "", "ps or worker.")
tf.app.flags.DEFINE_integer("task_index", 0, "Index of the task in its job; worker 0 is the chief.")
tf.app.flags.DEFINE_string("ps_hosts", "", "Comma-separated host:port pairs.")
tf.app.flags.DEFINE_string("worker_hosts", "", "Comma-separated host:port pairs.")
tf.app.flags.DEFINE_bool("sync", False, "Average the gradients of all workers, one update for all of them.")
tf.app.flags.DEFINE_integer("train_steps", 200, "Number of global steps.")
tf.app.flags.DEFINE_float("learning_rate", 0.05, "Learning rate of Momentum.")
tf.app.flags.DEFINE_float("weight_decay", 0.05, "Scale of the L2 regularizer.")
tf.app.flags.DEFINE_string("checkpoint_dir", "", "Where the chief saves.")
tf.app.flags.DEFINE_string("order", "after", "The weights decay after the update, or before.")
tf.app.flags.DEFINE_string("backend", "auto", "What decays them: auto, native or tensorflow.")
tf.app.flags.DEFINE_bool("resource_variables", False, "Use resource variables.")
tf.app.flags.DEFINE_integer("pause_at", 0, "Stop after so many updates, to be killed there.")

FLAGS = tf.app.flags.FLAGS


def load_digits():
    """Returns (images, labels) for training and for test: 1,000 digits and the other 797."""
    with np.load(DATA) as data:
        images = data["images"].reshape([-1, NUM_PIXELS]).astype(np.float32) / 16.0
        labels = data["labels"].astype(np.int64)
    return (images[:NUM_TRAIN], labels[:NUM_TRAIN]), (images[NUM_TRAIN:], labels[NUM_TRAIN:])


def shard(task_index, num_workers):
    """Returns the images and labels that a worker trains on."""
    images, labels = load_digits()[0]
    mine = np.array_split(np.arange(NUM_TRAIN), num_workers)[task_index]
    return images[mine], labels[mine]


def l2(weights):
    return FLAGS.weight_decay * tf.nn.l2_loss(weights)


def inference(images, num_ps):
    """Builds the network up to the logits. Each parameter server has a part of the first weights."""
    normal = tf.truncated_normal_initializer(stddev=0.1, seed=1)
    with tf.variable_scope("hidden"):
        parts = tf.fixed_size_partitioner(num_ps)
        weights = tf.get_variable("weights", [NUM_PIXELS, NUM_HIDDEN], initializer=normal, partitioner=parts)
        biases = tf.get_variable("biases", [NUM_HIDDEN], initializer=tf.zeros_initializer())
        tf.losses.add_loss(l2(weights))
    hidden = tf.tanh(tf.matmul(images, weights) + biases)
    with tf.variable_scope("logits"):
        weights = tf.get_variable("weights", [NUM_HIDDEN, NUM_CLASSES], initializer=normal, regularizer=l2)
        biases = tf.get_variable("biases", [NUM_CLASSES], initializer=tf.zeros_initializer())
    return tf.matmul(hidden, weights) + biases


def add_witness(num_ps):
    """Adds a variable with a part on each parameter server that does nothing but decay: its data gradient is zero."""
    ones, parts = tf.ones_initializer(), tf.fixed_size_partitioner(num_ps)
    witness = tf.get_variable("witness", [num_ps], initializer=ones, partitioner=parts, regularizer=l2)
    tf.losses.add_loss(0.0 * tf.reduce_sum(witness))


def build_model(num_ps):
    """Returns the placeholders for images and labels, and the loss: cross entropy plus the L2 of the weights."""
    tf.train.get_or_create_global_step()
    images = tf.placeholder(tf.float32, [None, NUM_PIXELS], name="images")
    labels = tf.placeholder(tf.int64, [None], name="labels")
    tf.losses.sparse_softmax_cross_entropy(labels, inference(images, num_ps))
    add_witness(num_ps)
    return images, labels, tf.losses.get_total_loss()


def build_optimizer(num_workers):
    # without locks, updates of two workers at once would overwrite each other
    optimizer = tf.train.MomentumOptimizer(FLAGS.learning_rate, MOMENTUM, use_locking=True)
    if FLAGS.sync:
        optimizer = tf.train.SyncReplicasOptimizer(optimizer, num_workers, num_workers)
    return optimizer


class BarrierHook(tf.train.SessionRunHook):
    """Holds the first step until all workers are there, so that even a short run is the work of all."""

    def __init__(self, num_workers):
        self._num_workers = num_workers

    def begin(self):
        with tf.device(tf.train.get_global_step().device):
            queue = tf.FIFOQueue(-1, tf.int32, shapes=(), shared_name="arrived")
            self._arrive, self._arrived = queue.enqueue(1), queue.size()

    def after_create_session(self, session, coord):
        session.run(self._arrive)
        while session.run(self._arrived) < self._num_workers:
            time.sleep(0.1)


class OneGradientHook(tf.train.SessionRunHook):
    """Waits behind each step until every worker has taken its token of it.

    SyncReplicasOptimizer gives its tokens to whoever asks: a quick worker could take that of another too, and give two
    gradients to one update.
    """

    def begin(self):
        with tf.device(tf.train.get_global_step().device):
            name = "sync_token_q"  # what SyncReplicasOptimizer calls it
            self._left = tf.FIFOQueue(-1, tf.int64, shapes=(), shared_name=name).size()

    def after_run(self, run_context, run_values):
        for _ in range(5000):  # 10 s and more: a worker that was killed takes none
            if run_context.session.run(self._left) == 0:
                break
            time.sleep(0.002)


def wait_for_chief(target, config):
    """Waits until the variables are initialized. MonitoredTrainingSession looks only every 30 seconds."""
    missing = tf.report_uninitialized_variables(tf.global_variables())
    with tf.Session(target, config=config) as sess:
        while len(sess.run(missing)):
            time.sleep(0.1)


class PauseHook(tf.train.SessionRunHook):
    """Stops between two steps, for the process to be killed there."""

    def __init__(self, step):
        self._step = step

    def before_run(self, run_context):
        if run_context.session.run(tf.train.get_global_step()) >= self._step:
            print("paused after %d updates" % self._step, flush=True)
            time.sleep(1e6)


def train(server, cluster):
    num_ps, num_workers = cluster.num_tasks("ps"), cluster.num_tasks("worker")
    is_chief = FLAGS.task_index == 0
    me = "/job:worker/task:%d" % FLAGS.task_index
    config = tf.ConfigProto(device_filters=["/job:ps", me])  # another worker may be down
    if FLAGS.backend == "native":
        tf1_wd.check_servers(server.target, config)

    with tf.device(tf.train.replica_device_setter(cluster=cluster, worker_device=me)):
        images, labels, loss = build_model(num_ps)
        optimizer = build_optimizer(num_workers)

        @tf1_wd.decoupled_weight_decay(order=FLAGS.order, backend=FLAGS.backend)
        def build_train_op():
            return optimizer.minimize(loss, global_step=tf.train.get_global_step())

        train_op = build_train_op()
    print(build_train_op.decay.plan)

    hooks = [tf.train.StopAtStepHook(last_step=FLAGS.train_steps), BarrierHook(num_workers)]
    if FLAGS.sync:
        hooks += [optimizer.make_session_run_hook(is_chief, num_tokens=0), OneGradientHook()]
    if FLAGS.pause_at:
        hooks.append(PauseHook(FLAGS.pause_at))
    if not is_chief:
        wait_for_chief(server.target, config)
    my_images, my_labels = shard(FLAGS.task_index, num_workers)
    steps = 0
    with tf.train.MonitoredTrainingSession(
        master=server.target,
        is_chief=is_chief,
        checkpoint_dir=FLAGS.checkpoint_dir,
        save_checkpoint_steps=50,
        stop_grace_period_secs=1,  # at its end, the chief of a synchronous run still waits for gradients
        hooks=hooks,
        config=config,
    ) as sess:
        while not sess.should_stop():
            _, loss_value = sess.run([train_op, loss], {images: my_images, labels: my_labels})
            steps += 1
            if steps % 50 == 0:
                print("worker %d, step %d: loss %.4f" % (FLAGS.task_index, steps, loss_value), flush=True)
    print("worker %d: %d steps" % (FLAGS.task_index, steps))


def main(_):
    cluster = tf.train.ClusterSpec({"ps": FLAGS.ps_hosts.split(","), "worker": FLAGS.worker_hosts.split(",")})
    if FLAGS.resource_variables:
        tf.enable_resource_variables()
    if FLAGS.backend == "native":
        tf1_wd.load_native_op()
    server = tf.train.Server(cluster, job_name=FLAGS.job_name, task_index=FLAGS.task_index)
    if FLAGS.job_name == "ps":
        server.join()
    else:
        train(server, cluster)


if __name__ == "__main__":
    tf.app.run()
