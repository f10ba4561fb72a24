"""Pythons with packages that cannot be installed beside TensorFlow; each is named by a variable, which .ci/run sets."""

from __future__ import annotations

import os

import pytest

# variable -> the Python that makes the environment, and what is installed there
_MADE_BY = {
    "TF1_WD_TF2_PYTHON": ("python3", "tensorflow"),
    "TF1_WD_TORCH_PYTHON": ("python3", "torch optax jax"),
    "TF1_WD_CHAINER_PYTHON": ("python3.7", "chainer 'numpy<1.19'"),
    "TF1_WD_SKLEARN_PYTHON": ("python3", "scikit-learn"),
}


def how_to_make(variable: str) -> str:
    """Why a test is skipped where the variable is not set: it needs what this line brings."""
    made = (*_MADE_BY[variable], variable)
    return "run %s -m venv other; other/bin/pip install %s; %s=$PWD/other/bin/python pytest tests" % made


def interpreter(variable: str) -> str:
    """The Python that a variable names; skips the test where it is not set."""
    path = os.environ.get(variable)
    return path or pytest.skip(how_to_make(variable))
