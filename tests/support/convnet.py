"""A file of layer parameters of cuda-convnet, and what each of its options says."""

from __future__ import annotations

from tf1_wd.plan.layer_params import Layer

FILE = """\
# as in example-layers/layer-params-*.cfg
[conv1]
epsW=0.05
epsB=0.1
momW=0.9
momB=0.8
wc=0

[conv2] epsW=0.1 epsB = 0.05 momW=0.5 momB=0  wc=0.75  ; all on one line
[fc10]
epsW=0.05, 0.1
epsB=0.1
  momW=0.9,0.5   # two inputs
momB=0.9
WC=2,0.5
dropout=0.5

[logprob]
coeff=1
"""
LAYERS = (
    Layer("conv1", (0.05,), 0.1, (0.9,), 0.8, (0.0,)),
    Layer("conv2", (0.1,), 0.05, (0.5,), 0.0, (0.75,)),
    Layer("fc10", (0.05, 0.1), 0.1, (0.9, 0.5), 0.9, (2.0, 0.5)),
)
LEARNING = {  # learning rate, momentum, decay
    "conv1/weights": (0.05, 0.9, 0),
    "conv1/biases": (0.1, 0.8, 0),
    "net/conv2/kernel": (0.1, 0.5, 0.75),
    "net/conv2/bias": (0.05, 0, 0),
    "fc10/W": (0.05, 0.9, 2),
    "fc10/W_1": (0.1, 0.5, 0.5),
    "fc10/b": (0.1, 0.9, 0),
}
NAMES = list(LEARNING)


def section(name="conv1", **keys):
    keys = dict(dict(epsW=0.1, epsB=0.1, momW=0.9, momB=0.9, wc=0.5), **keys)
    return "[%s]\n" % name + "".join("%s=%s\n" % (key, value) for key, value in keys.items() if value is not None)
