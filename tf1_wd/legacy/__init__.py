"""Puts back what TF1 code needs and later TensorFlow took away. Importing it imports no TensorFlow."""

from __future__ import annotations

from tf1_wd.legacy.runtime import install

__all__ = ["install"]
