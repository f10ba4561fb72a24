"""The Python that has TensorFlow 2, for what TensorFlow 1 is migrated to."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest

from support.environments import how_to_make
from support.versions import IS_TF1

FLAVOURS = ["0", "1"] if importlib.util.find_spec("tf_keras") else ["0"]  # TF_USE_LEGACY_KERAS
# CI sets it where TensorFlow 2 is installed beside TensorFlow 1: there the program and its code run in one each
TF2_PYTHON = os.environ.get("TF1_WD_TF2_PYTHON") if IS_TF1 else sys.executable
needs_tensorflow_2 = pytest.mark.skipif(TF2_PYTHON is None, reason=how_to_make("TF1_WD_TF2_PYTHON"))
