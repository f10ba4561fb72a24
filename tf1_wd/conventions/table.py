"""What each system means by "weight decay", as data; imports no TensorFlow.

Four things tell one rule from another: whether the decay goes through the optimizer (coupled) or not, which weights
decay (those before the step or those after it), what multiplies the rate, and whether the rate is the factor of w or
of w squared. docs/guide/conventions.md shows the rows, and the test that proves each.
"""

from __future__ import annotations

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


ADAMW = "w <- w - step - lr rate w"
ONCE = "w <- w - step - rate w"
UPDATED = "w <- (1 - rate) (w - step)"
PAPER = "w <- w - eta step - eta rate w"
L2 = "g <- g + rate w, then the step"

_PENALTIES = "tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))"
_SECOND_STEP = "tf.train.GradientDescentOptimizer(1.0).minimize(%s)" % _PENALTIES

CONVENTIONS = {
    "snippet": Convention(
        "second SGD step behind train_op, reference variables",
        UPDATED,
        {"any": _SECOND_STEP},
        NOTHING,
        AFTER,
        options="convention='snippet'",
    ),
    "snippet_resource": Convention(
        "second SGD step behind train_op, resource variables read before the step",
        ONCE,
        {"any": _SECOND_STEP},
        NOTHING,
        options="order='before', scale=1.0",
    ),
    "paper": Convention("Loshchilov and Hutter: SGDW, AdamW", PAPER, {}, ETA, options="convention='paper', scale=eta"),
    "contrib": Convention(
        "tf.contrib.opt",
        ONCE,
        {
            "adam": "tf.contrib.opt.AdamWOptimizer(weight_decay=rate, learning_rate=lr)",
            "momentum": "tf.contrib.opt.MomentumWOptimizer(weight_decay=rate, learning_rate=lr, momentum=0.9)",
        },
        NOTHING,
        options="convention='contrib'",
    ),
    "tf_addons": Convention(
        "TensorFlow Addons",
        ONCE,
        {
            "adam": "tfa.optimizers.AdamW(weight_decay=rate, learning_rate=lr, epsilon=1e-8)",
            "momentum": "tfa.optimizers.SGDW(weight_decay=rate, learning_rate=lr, momentum=0.9)",
        },
        NOTHING,
        options="convention='contrib'",
    ),
    "keras": Convention(
        "Keras: AdamW, weight_decay= of any optimizer",
        ADAMW,
        {
            "adam": "keras.optimizers.AdamW(learning_rate=lr, weight_decay=rate, epsilon=1e-8)",
            "sgd": "keras.optimizers.SGD(learning_rate=lr, weight_decay=rate)",
            "momentum": "keras.optimizers.SGD(learning_rate=lr, momentum=0.9, weight_decay=rate)",
        },
        LEARNING_RATE,
        options="convention='adamw'",
    ),
    "keras_l2": Convention(
        "Keras: L2 regularizer in the loss",
        "g <- g + 2 rate w, then the step",
        {"any": "loss + keras.regularizers.l2(rate)(w)"},
        LEARNING_RATE,
        coupled=True,
        factor=2.0,
    ),
    "l2_loss": Convention(
        "tf.nn.l2_loss, slim and tf.contrib regularizers in the loss",
        L2,
        {"any": "loss + rate * tf.nn.l2_loss(w)"},
        LEARNING_RATE,
        coupled=True,
    ),
    "pytorch": Convention(
        "PyTorch: AdamW",
        ADAMW,
        {"adam": "torch.optim.AdamW(params, lr=lr, weight_decay=rate)"},
        LEARNING_RATE,
        options="convention='adamw'",
    ),
    "pytorch_l2": Convention(
        "PyTorch: weight_decay= of SGD and Adam",
        L2,
        {
            "sgd": "torch.optim.SGD(params, lr=lr, weight_decay=rate)",
            "momentum": "torch.optim.SGD(params, lr=lr, momentum=0.9, weight_decay=rate)",
            "adam": "torch.optim.Adam(params, lr=lr, weight_decay=rate)",
        },
        LEARNING_RATE,
        coupled=True,
    ),
    "optax": Convention(
        "optax: adamw",
        ADAMW,
        {"adam": "optax.adamw(lr, weight_decay=rate)"},
        LEARNING_RATE,
        options="convention='adamw'",
    ),
    "optax_l2": Convention(
        "optax: add_decayed_weights in front of the optimizer",
        L2,
        {
            "sgd": "optax.chain(optax.add_decayed_weights(rate), optax.sgd(lr))",
            "momentum": "optax.chain(optax.add_decayed_weights(rate), optax.sgd(lr, momentum=0.9))",
            "adam": "optax.chain(optax.add_decayed_weights(rate), optax.adam(lr))",
        },
        LEARNING_RATE,
        coupled=True,
    ),
    "chainer": Convention(
        "Chainer: AdamW",
        PAPER,
        {"adam": "chainer.optimizers.AdamW(alpha=lr, eta=eta, weight_decay_rate=rate)"},
        ETA,
        options="convention='paper', scale=eta",
    ),
    "chainer_l2": Convention(
        "Chainer: WeightDecay hook",
        L2,
        {"any": "optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(rate))"},
        LEARNING_RATE,
        coupled=True,
    ),
    "cuda_convnet": Convention(
        "cuda-convnet: wc of a layer",
        "inc <- mom inc - rate lr w - lr g; w <- w + inc",
        {"momentum": "[conv1] epsW=lr momW=0.9 wc=rate"},
        LEARNING_RATE,
        coupled=True,
    ),
    "bert": Convention(
        "BERT: AdamWeightDecayOptimizer",
        ADAMW,
        {"adam": "AdamWeightDecayOptimizer(learning_rate=lr, weight_decay_rate=rate)"},
        LEARNING_RATE,
        options="convention='adamw'",
    ),
}
CONVENTIONS["adamw"] = CONVENTIONS["keras"]  # the word that tf1_wd has for it
