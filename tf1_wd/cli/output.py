"""What TensorFlow writes while it is imported."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def tensorflow_import():
    """Import TensorFlow inside the block: its log then shows errors only, unless the user has set the level.

    What TensorFlow writes to stderr before it knows the level (2.21.0 does) is held back, and shown if the block fails.
    """
    if _LEVEL in os.environ:
        yield
        return
    os.environ[_LEVEL] = "2"
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)  # NumPy's on 1.15.5
    warnings.filterwarnings("ignore", message=r"`.*` is deprecated", category=UserWarning)  # of layers that slim uses
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
