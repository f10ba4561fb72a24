"""What each system means by "weight decay", as data; imports no TensorFlow.

Four things tell one rule from another: whether the decay goes through the optimizer (coupled) or not, which weights
decay (those before the step or those after it), what multiplies the rate, and whether the rate is the factor of w or
of w squared. docs/guide/conventions.md shows the rows, and the test that proves each.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

LEARNING_RATE, ETA, NOTHING = "learning_rate", "eta", "1"  # what a rate is multiplied by in each step
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Convention:
    """The rule of one system: `formula` in words of w (weights), g (gradient), step (what the optimizer makes of g).

    times: what multiplies the rate in each step. order: the weights that decay, before or after the step. coupled: the
    decay is part of the gradient. factor: the gradient of the penalty is factor * rate * w. lines: optimizer -> the
    line of that system, with the names rate, lr (learning rate) and eta. options: those of tf1_wd that do the same; ""
    if the L2 is to stay in the gradient.
    """

    system: str
    formula: str
    lines: dict[str, str]
    times: str
    order: str = BEFORE
    coupled: bool = False
    factor: float = 1.0
    options: str = ""


# rules that several systems have, without the system and its lines
_adamw = functools.partial(
    Convention, formula="w <- w - step - lr rate w", times=LEARNING_RATE, options="convention='adamw'"
)
_once = functools.partial(Convention, formula="w <- w - step - rate w", times=NOTHING, options="convention='contrib'")
_paper = functools.partial(
    Convention, formula="w <- w - eta step - eta rate w", times=ETA, options="convention='paper', scale=eta"
)
_l2 = functools.partial(Convention, formula="g <- g + rate w, then the step", times=LEARNING_RATE, coupled=True)

_PENALTIES = "tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))"
_SECOND_STEP = {"any": "tf.train.GradientDescentOptimizer(1.0).minimize(%s)" % _PENALTIES}

CONVENTIONS = {
    "snippet": _once(
        "second SGD step behind train_op, reference variables",
        lines=_SECOND_STEP,
        formula="w <- (1 - rate) (w - step)",
        order=AFTER,
        options="convention='snippet'",
    ),
    "snippet_resource": _once(
        "second SGD step behind train_op, resource variables read before the step",
        lines=_SECOND_STEP,
        options="order='before', scale=1.0",
    ),
    "paper": _paper("Loshchilov and Hutter: SGDW, AdamW", lines={}),
    "contrib": _once(
        "tf.contrib.opt",
        lines={
            "adam": "tf.contrib.opt.AdamWOptimizer(weight_decay=rate, learning_rate=lr)",
            "momentum": "tf.contrib.opt.MomentumWOptimizer(weight_decay=rate, learning_rate=lr, momentum=0.9)",
        },
    ),
    "tf_addons": _once(
        "TensorFlow Addons",
        lines={
            "adam": "tfa.optimizers.AdamW(weight_decay=rate, learning_rate=lr, epsilon=1e-8)",
            "momentum": "tfa.optimizers.SGDW(weight_decay=rate, learning_rate=lr, momentum=0.9)",
        },
    ),
    "keras": _adamw(
        "Keras: AdamW, weight_decay= of any optimizer",
        lines={
            "adam": "keras.optimizers.AdamW(learning_rate=lr, weight_decay=rate, epsilon=1e-8)",
            "sgd": "keras.optimizers.SGD(learning_rate=lr, weight_decay=rate)",
            "momentum": "keras.optimizers.SGD(learning_rate=lr, momentum=0.9, weight_decay=rate)",
        },
    ),
    "keras_l2": _l2(
        "Keras: L2 regularizer in the loss",
        lines={"any": "loss + keras.regularizers.l2(rate)(w)"},
        formula="g <- g + 2 rate w, then the step",
        factor=2.0,
    ),
    "l2_loss": _l2(
        "tf.nn.l2_loss, slim and tf.contrib regularizers in the loss", lines={"any": "loss + rate * tf.nn.l2_loss(w)"}
    ),
    "pytorch": _adamw("PyTorch: AdamW", lines={"adam": "torch.optim.AdamW(params, lr=lr, weight_decay=rate)"}),
    "pytorch_l2": _l2(
        "PyTorch: weight_decay= of SGD and Adam",
        lines={
            "sgd": "torch.optim.SGD(params, lr=lr, weight_decay=rate)",
            "momentum": "torch.optim.SGD(params, lr=lr, momentum=0.9, weight_decay=rate)",
            "adam": "torch.optim.Adam(params, lr=lr, weight_decay=rate)",
        },
    ),
    "optax": _adamw("optax: adamw", lines={"adam": "optax.adamw(lr, weight_decay=rate)"}),
    "optax_l2": _l2(
        "optax: add_decayed_weights in front of the optimizer",
        lines={
            "sgd": "optax.chain(optax.add_decayed_weights(rate), optax.sgd(lr))",
            "momentum": "optax.chain(optax.add_decayed_weights(rate), optax.sgd(lr, momentum=0.9))",
            "adam": "optax.chain(optax.add_decayed_weights(rate), optax.adam(lr))",
        },
    ),
    "chainer": _paper(
        "Chainer: AdamW", lines={"adam": "chainer.optimizers.AdamW(alpha=lr, eta=eta, weight_decay_rate=rate)"}
    ),
    "chainer_l2": _l2(
        "Chainer: WeightDecay hook", lines={"any": "optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(rate))"}
    ),
    "cuda_convnet": _l2(
        "cuda-convnet: wc of a layer",
        lines={"momentum": "[conv1] epsW=lr momW=0.9 wc=rate"},
        formula="inc <- mom inc - rate lr w - lr g; w <- w + inc",
    ),
    "bert": _adamw(
        "BERT: AdamWeightDecayOptimizer",
        lines={"adam": "AdamWeightDecayOptimizer(learning_rate=lr, weight_decay_rate=rate)"},
    ),
}
CONVENTIONS["adamw"] = CONVENTIONS["keras"]  # the word that tf1_wd has for it
