"""Trains by lines of optax; see convention_program.py."""

from __future__ import annotations

import jax
import optax
from convention_program import main

jax.config.update("jax_enable_x64", True)


def train(case, w0, gradient):
    w, lr = jax.numpy.asarray(w0), jax.numpy.asarray(case["lr"])
    optimizer = eval(case["line"], {"optax": optax, "lr": lambda count: lr[count], "rate": case["rate"]})
    state = optimizer.init(w)
    for _ in case["lr"]:
        updates, state = optimizer.update(jax.numpy.asarray(gradient(w)), state, w)
        w = optax.apply_updates(w, updates)
        yield w


main(train)
