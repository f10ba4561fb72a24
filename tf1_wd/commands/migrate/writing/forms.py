"""Which form of TensorFlow 2 says what an optimizer and its decay do; knows no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tf1_wd.commands.audit.report import RUN_TIME
from tf1_wd.commands.migrate.migration import APPLIED, LAST, OTHERWISE, Difference
from tf1_wd.conventions.convert import convert_rate
from tf1_wd.errors import InvalidOptionError, MigrationError
from tf1_wd.plan.optimizer_table import MIGRATED
from tf1_wd.plan.options import COUPLED
from tf1_wd.plan.scale_option import LEARNING_RATE

AUTO, KERAS, TAPE = FORMS = ("auto", "keras", "tape")
# how a decay is said
NOTHING = "nothing"
WEIGHT_DECAY = "weight_decay"  # the argument of a Keras optimizer
IN_LOSS = "in_loss"  # L2 terms in the loss
IN_GRADIENT = "in_gradient"  # a multiple of the weights, added to the gradient
OP = "op"  # tf1_wd.tf2.decay
COPIES = "copies"  # a multiple of the weights that the step began from, taken off after it


@dataclass(frozen=True)
class Form:
    """How one Part is said.

    decay: a word of the above. weight_decay: the argument of the Keras optimizer. is_own_momentum: True for a momentum
    of TensorFlow 1's kind, which Keras lacks. differences: tuple of Difference. notes: tuple of sentences.
    """

    decay: str
    weight_decay: float | None = None
    is_own_momentum: bool = False
    differences: tuple = ()
    notes: tuple = ()


UNDECAYED = Form(NOTHING)


def form_of(part, changes, asked=AUTO):
    """The Form of a migration.Part.

    changes: of its RunStep. asked: "auto" (Keras where that is equal, else a loop), "keras" (or an error), "tape".
    Raises InvalidOptionError, MigrationError.
    """
    if asked not in FORMS:
        raise InvalidOptionError("form=%r is unknown; choose one of: %s" % (asked, ", ".join(map(repr, FORMS))))
    if part.optimizer != "momentum" or part.learning_rate != RUN_TIME:
        return _decay(part, changes, asked)
    if asked != KERAS:
        return replace(_decay(part, changes, TAPE), is_own_momentum=True)
    form = _decay(part, changes, KERAS)
    return replace(form, differences=(*form.differences, _VELOCITY))


_VELOCITY = Difference(
    "Keras's SGD keeps each gradient in its velocity times the learning rate of its own step, TensorFlow 1 multiplies "
    "all of them by the current one",
    "none while the learning rate stays; where it changes from a to b, what is left of the old velocity moves the "
    "weights a/b times as far, and fades with momentum^k after k steps",
)


def _decay(part, changes, asked):
    if not part.decaying:
        return UNDECAYED
    if part.order == COUPLED:
        return _coupled(part, changes, asked)
    # A decay in front of such a step would change it.
    reads_weights = MIGRATED[part.optimizer].step_reads_weights
    if asked == KERAS and reads_weights:
        raise MigrationError(
            "Keras decays the weights before %s computes its step from them, the program does not: use the form 'tape'"
            % part.optimizer
        )
    if asked == KERAS and len(part.rates) > 1:
        raise MigrationError(
            "Keras has one weight_decay for all variables, and there are several rates (%s, ...): use the form 'tape'"
            % ", ".join("%s of %s" % (w.rate, w.name) for w in part.decaying[:2])
        )
    if asked == TAPE or reads_weights or len(part.rates) > 1:
        return Form(COPIES if reads_weights and part.order == "before" else OP)
    if part.order == "before":
        return _before(part, asked)
    return replace(_before(part, asked), differences=(_order(part),)) if asked == KERAS else Form(OP)


def _coupled(part, changes, asked):
    # Plain SGD multiplies the L2 by the learning rate alone, which is what weight_decay= of Keras does.
    plain = part.optimizer == "sgd" and len(part.rates) == 1 and part.scale == 1.0
    if plain and not changes and asked != TAPE:
        return Form(WEIGHT_DECAY, part.rates[0])
    if asked == KERAS:
        raise MigrationError(
            "the L2 is in the gradient, and %s: no weight_decay= of Keras does that. Use the form 'tape'; in a model's "
            "layers the same is kernel_regularizer=tf.keras.regularizers.L2(rate / 2). Or migrate to true decay: "
            "tf1-wd migrate --decoupled" % ("it is changed on the way" if plain else "%s rescales it" % part.optimizer)
        )
    if changes and part.l2 == LAST:
        return Form(IN_GRADIENT)
    if part.l2 == APPLIED and any(kind == OTHERWISE for kind, _ in changes):
        return Form(IN_GRADIENT, notes=(_BEHIND,))
    return Form(IN_LOSS)


_BEHIND = (
    "The code adds the L2 of RATES behind change_gradients, at the rate that it has in the gradient as it is applied: "
    "leave it out of change_gradients. Equal where that multiplies, sums or averages; where it clips, the program may "
    "clip the L2 too"
)


def _before(part, asked):
    (rate,) = part.rates
    if part.scale == LEARNING_RATE:
        return Form(WEIGHT_DECAY, rate)
    if part.scale == 1.0 and part.learning_rate != RUN_TIME:
        # at this learning rate the two are equal, before the step or approximately after it
        converted = convert_rate(rate, "contrib", "keras", part.learning_rate)
        note = (
            "weight_decay is %g / %g, the rate by the learning rate, for Keras multiplies it by that again. If you "
            "change the learning rate, change it too" % (rate, part.learning_rate)
        )
        return Form(WEIGHT_DECAY, converted, notes=(note,))
    if asked == KERAS:
        raise MigrationError(
            "Keras multiplies its weight_decay by the learning rate, which changes here while the decay does not "
            "change with it: use the form 'tape'"
        )
    return Form(OP)


def _order(part):
    size, percent = "a step is longer by the factor 1 / (1 - r)", 100 * part.rates[0]
    if part.scale == LEARNING_RATE:
        size += ", r being %g times the learning rate" % part.rates[0]
        percent = None if part.learning_rate == RUN_TIME else percent * part.learning_rate
    if percent is not None:
        size += ": %.3g %%" % percent
    return Difference("Keras decays the weights before the step, w - step - r w, the program those after it", size)
