"""One decay plan for a Keras model: decoupled from the gradient, or as L2 in the loss."""

from __future__ import annotations

from tf1_wd.keras.api import add_l2, decouple, plan, rates

__all__ = ["add_l2", "decouple", "plan", "rates"]
