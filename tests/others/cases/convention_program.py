"""What the programs convention_*.py share: cases from stdin, the weights after each step to stdout, in JSON."""

from __future__ import annotations

import json
import sys

import numpy as np


def main(train):
    """train(case, w0, gradient) yields the weights after each step of one case.

    case: dict of line (the line of the system, to be evaluated), optimizer, rate, lr and eta (lists, one a step).
    """
    problem = json.load(sys.stdin)
    w0, curvature, target = (np.array(problem[name]) for name in ("w0", "curvature", "target"))

    def gradient(w):
        return curvature * (np.asarray(w) - target)

    found = [[np.asarray(w).tolist() for w in train(case, w0.copy(), gradient)] for case in problem["cases"]]
    json.dump(found, sys.stdout)
