"""Trains on parameter servers and workers, each a process of this machine, and checks the outcome against NumPy.

python legacy_examples/ps_cluster/launch.py --workers 2 --ps 2 --sync
"""

import argparse
import contextlib
import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # of the tasks too

HERE = os.path.dirname(os.path.abspath(__file__))
LOG_LINES = 30
MAX_STEPS = 1500  # 0.95 ** 1500 is still a normal float32


class Failed(Exception):
    """The run did not come to its end: why, and the tasks whose logs tell more."""

    def __init__(self, reason, tasks):
        super().__init__(reason)
        self.tasks = tasks


class Cluster:
    """The processes of a run, by (job, index). All of them end with it."""

    def __init__(self, args, directory):
        hosts = ["localhost:%d" % port for port in free_ports(args.ps + args.workers)]
        self._directory = directory
        self._deadline = time.time() + args.timeout
        self._flags = {
            "ps_hosts": ",".join(hosts[: args.ps]),
            "worker_hosts": ",".join(hosts[args.ps :]),
            "checkpoint_dir": os.path.join(directory, "checkpoints"),
            "sync": args.sync,
            "train_steps": args.steps,
            "order": args.order,
            "resource_variables": args.kind == "resource",
        }
        self._processes = {}
        self.target = "grpc://" + hosts[0]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for task in self._processes:
            self.kill(task)

    def start(self, task, **flags):
        """Starts a task, or starts it again; its log goes on."""
        flags = dict(self._flags, job_name=task[0], task_index=task[1], **flags)
        command = [sys.executable, os.path.join(HERE, "train.py")]
        command += ["--%s=%s" % flag for flag in sorted(flags.items())]
        with open(self._log_file(task), "a") as log:
            self._processes[task] = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=die_with_the_launcher
            )

    def kill(self, task):
        """Ends a task with SIGKILL."""
        self._processes[task].kill()
        self._processes[task].wait()

    def wait(self, condition):
        """Waits until `condition()` is true. Raises Failed if a task ends as it should not, or if it takes too long."""
        while not condition():
            for task, process in self._processes.items():
                if process.poll() is not None and (process.returncode or task[0] == "ps"):
                    raise Failed("%s %d ended with code %s" % (*task, process.returncode), [task])
            if time.time() > self._deadline:
                raise Failed("it takes too long", [t for t, p in self._processes.items() if p.poll() is None])
            time.sleep(0.05)

    def has_ended(self, task):
        return self._processes[task].poll() == 0

    def log(self, task):
        with open(self._log_file(task), errors="replace") as file:
            return file.read()

    def _log_file(self, task):
        return os.path.join(self._directory, "%s%d.log" % task)


def die_with_the_launcher():
    """Lets the process that calls it end when its parent does, even if that is killed; on Linux."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_ports(count):
    """Ports on which nobody listens, below those that the system gives to clients."""
    ports = set()
    while len(ports) < count:
        port = random.randrange(20000, 32000)
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("localhost", port))
            ports.add(port)
    return sorted(ports)


def start(cluster, args):
    """Starts all tasks. Returns those of the workers, and the one that is to be killed or None."""
    workers = [("worker", index) for index in range(args.workers)]
    victim = workers[0 if args.kill_chief else -1] if args.kill_at else None
    for index in range(args.ps):
        cluster.start(("ps", index), backend=args.ps_backends[index] if args.ps_backends else args.backend)
    for task in workers:
        cluster.start(task, backend=args.backend, pause_at=args.kill_at if task == victim else 0)
    return workers, victim


def finish(cluster, args, workers, victim):
    """Waits for the end of the training. Returns how often each worker ran the train_op; None for the killed one."""
    if victim:
        cluster.wait(lambda: "paused after" in cluster.log(victim))
        cluster.kill(victim)
        print("%s %d was killed after %d updates, and starts again" % (*victim, args.kill_at), flush=True)
        cluster.start(victim, backend=args.backend)
    cluster.wait(lambda: all(map(cluster.has_ended, workers)))
    return [None if task == victim else int(re.findall(r": (\d+) steps", cluster.log(task))[-1]) for task in workers]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ps", type=int, default=2, help="number of parameter servers (default: %(default)s)")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--sync", action="store_true", help="SyncReplicasOptimizer: the workers' gradients are averaged")
    mode.add_argument("--async", action="store_true", dest="asynchronous", help="each worker updates when it can")
    parser.add_argument("--steps", type=int, default=200, help="global steps (default: %(default)s)")
    parser.add_argument("--kind", choices=["reference", "resource"], default="reference", help="of variables")
    parser.add_argument("--order", choices=["after", "before"], default="after")
    parser.add_argument("--backend", choices=["auto", "native", "tensorflow"], default="auto")
    parser.add_argument("--ps-backends", nargs="+", help="of each parameter server, if not that of the workers")
    parser.add_argument("--kill-at", type=int, default=0, metavar="N", help="kill a worker after N updates; restart it")
    parser.add_argument("--kill-chief", action="store_true", help="with --kill-at: not the last worker, the chief")
    parser.add_argument("--timeout", type=float, default=600, help="seconds until all is given up")
    args = parser.parse_args()
    if not 0 < args.steps <= MAX_STEPS:
        parser.error("--steps must be from 1 to %d: after more, the witness of the decays is too small" % MAX_STEPS)
    if args.kill_chief and args.asynchronous:
        parser.error("--kill-chief needs --sync: while others update, TensorFlow saves no checkpoint of one moment")
    return args


def main():
    args = parse_arguments()
    print("starting %d parameter servers and %d workers" % (args.ps, args.workers), flush=True)
    directory = tempfile.mkdtemp(prefix="ps_cluster-")
    try:
        with Cluster(args, directory) as cluster:
            try:
                workers, victim = start(cluster, args)
                import check  # and TensorFlow, for some seconds in which the tasks do the same

                worker_steps = finish(cluster, args, workers, victim)
                values = check.read_variables(args, cluster.target)
            except Failed as error:
                for task in error.tasks:
                    print("--- the last lines of %s %d:" % task)
                    print("\n".join(cluster.log(task).strip().split("\n")[-LOG_LINES:]))
                print("training failed: %s" % error)
                sys.exit(1)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    lines, passed = check.report(values, worker_steps, args)
    print("\n".join(lines))
    print("check: %s" % ("passed" if passed else "FAILED"))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
