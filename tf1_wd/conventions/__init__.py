"""What each system means by "weight decay", as data; imports no TensorFlow."""

from __future__ import annotations

from tf1_wd.conventions.table import CONVENTIONS, Convention

__all__ = ["CONVENTIONS", "Convention"]
