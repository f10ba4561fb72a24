"""`tf1-wd build`: compiles the decay op for the installed TensorFlow, into the cache."""

from __future__ import annotations

import contextlib
import sys

from tf1_wd.errors import NativeOpError
from tf1_wd.native import cache


def add_arguments(parser):
    parser.add_argument("--force", action="store_true", help="compile even if the package or the cache has the op")


def run(args):
    """Prints the path of the op; 0 if there is one, else 1."""
    try:
        from tf1_wd.native import loader
    except ImportError as error:
        print("tf1-wd build: TensorFlow cannot be imported: %s" % error, file=sys.stderr)
        return 1
    tensorflow = loader.tensorflow_build()
    path = None if args.force else cache.prebuilt_library(tensorflow)
    if path:
        with contextlib.suppress(NativeOpError):
            loader.try_library(path)
            print(path)
            return 0
    line = _ProgressLine("compiling the decay op for TensorFlow %s" % tensorflow.version)
    try:
        path = cache.find_or_build(
            tensorflow,
            loader.try_library,
            line.start,
            loader.say_waiting,
            line.update,
            retry=True,
            force=args.force,
        )
    except NativeOpError as error:
        line.end("failed")
        print("tf1-wd build: %s" % error, file=sys.stderr)
        return 1
    line.end("done")
    print(path)
    return 0


class _ProgressLine:
    """One line on stderr that counts seconds; on a terminal it is rewritten in place."""

    def __init__(self, text):
        self._text = text
        self._started = False

    def start(self):
        self._started = True
        self._write(self._text)

    def update(self, seconds):
        if sys.stderr.isatty():
            self._write("\r%s: %2.0f s of about 10" % (self._text, seconds))

    def end(self, word):
        if self._started:
            self._write(": %s\n" % word)

    @staticmethod
    def _write(text):
        sys.stderr.write(text)
        sys.stderr.flush()
