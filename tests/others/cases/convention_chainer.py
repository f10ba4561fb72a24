"""Trains by lines of Chainer; see convention_program.py."""

from __future__ import annotations

import chainer
from chainer import optimizers
from convention_program import main

chainer.global_config.dtype = float


def train(case, w0, gradient):
    link = chainer.Link()
    with link.init_scope():
        link.w = chainer.Parameter(w0)
    names = {"chainer": chainer, "lr": case["lr"][0], "eta": case["eta"][0], "rate": case["rate"]}
    if "add_hook" in case["line"]:
        optimizer = {"sgd": optimizers.SGD, "momentum": optimizers.MomentumSGD, "adam": optimizers.Adam}[
            case["optimizer"]
        ](case["lr"][0]).setup(link)
        eval(case["line"], dict(names, optimizer=optimizer))
    else:
        optimizer = eval(case["line"], names).setup(link)
    name = "alpha" if case["optimizer"] == "adam" else "lr"
    for lr, eta in zip(case["lr"], case["eta"]):
        setattr(optimizer, name, lr)
        if case["optimizer"] == "adam":
            optimizer.eta = eta if "eta" in case["line"] else 1.0
        link.w.grad = gradient(link.w.array)
        optimizer.update()
        yield link.w.array


main(train)
