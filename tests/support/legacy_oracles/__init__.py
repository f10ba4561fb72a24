"""What the scripts in legacy_examples must train to, in NumPy (float64), by code that shares nothing with tf1_wd."""

from __future__ import annotations

from support.legacy_oracles.programs import EXAMPLES, SCRIPTS, header, saved, trainable
from support.legacy_oracles.scripts import ORACLES

__all__ = ["EXAMPLES", "ORACLES", "SCRIPTS", "header", "saved", "trainable"]
