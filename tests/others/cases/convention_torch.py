"""Trains by lines of PyTorch; see convention_program.py."""

from __future__ import annotations

import torch
from convention_program import main


def train(case, w0, gradient):
    w = torch.tensor(w0, requires_grad=True)
    optimizer = eval(case["line"], {"torch": torch, "params": [w], "lr": case["lr"][0], "rate": case["rate"]})
    for lr in case["lr"]:
        optimizer.param_groups[0]["lr"] = lr
        w.grad = torch.tensor(gradient(w.detach().numpy()))
        optimizer.step()
        yield w.detach().numpy()


main(train)
