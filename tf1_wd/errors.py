"""Every error and warning of tf1_wd; each docstring names the remedy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

_Error = TypeVar("_Error", bound="Tf1WdError")


class _Facts(type):
    """Puts what an error is about, given by name, into its attributes.

    No __init__ does it: TensorFlow makes an error that leaves a tf.function anew, from its message, and keeps its class
    only if that has the __init__ of Exception.
    """

    def __call__(cls, *args: str, **facts: str | None) -> Any:
        error = super().__call__(*args)
        vars(error).update(facts)
        return error


class Tf1WdError(Exception, metaclass=_Facts):
    """Base of all errors that tf1_wd raises on purpose; the message says what to do.

    Programs read what an error is about from its attributes. Each is None where the error is about no such thing, and
    where the error came out of a tf.function.

    variable: the name of the variable, of the first where there are several.
    pattern: the pattern that matches nothing, as the user wrote it.
    option: the option that is wrong, as the message names it.
    reason: what is wrong, in words without the advice and without the variable's name.
    """

    variable: str | None = None
    pattern: str | None = None
    option: str | None = None
    reason: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            message: str = "",
            *,
            variable: str | None = None,
            pattern: str | None = None,
            option: str | None = None,
            reason: str | None = None,
        ) -> None: ...

    else:
        __init__ = Exception.__init__

    @classmethod
    def of_gradient(cls: type[_Error], variable: str, what: str) -> _Error:
        """An error that says `what` of the gradient of a variable."""
        return cls("the gradient of %s %s" % (variable, what), variable=variable, reason="its gradient " + what)


class Tf1WdWarning(UserWarning):
    """Base of all warnings, and the class of some; silence one with `warnings.filterwarnings` and its class."""


class InvalidOptionError(Tf1WdError, ValueError):
    """An option has a value that makes no sense: correct the named option."""


class InvalidRateError(InvalidOptionError):
    """A decay rate is not a finite number in [0, 1): correct the coefficient or `rates=`."""


class NoMatchError(InvalidOptionError):
    """A pattern matches no variable: correct it after the near names in the message."""


class NoEqualRateError(InvalidOptionError):
    """No rate of the other convention trains alike: the message says why, and what does."""


class EagerModeError(Tf1WdError, RuntimeError):
    """This is for graphs of TensorFlow 1: call `tf1_wd.tf2.decay`, build inside `tf.Graph()` or disable v2 behavior."""


class ProgramNotFoundError(Tf1WdError, FileNotFoundError):
    """The program to execute is not there: correct its path, or the name of the module."""


class NothingToDecayError(Tf1WdError):
    """No variable of the update has a rate: declare penalties, or pass `rates=`."""


class NothingUpdatedError(Tf1WdError):
    """No `apply_gradients` ran in the scope: put the scope around the code that builds the train_op."""


class UnsupportedUpdateError(Tf1WdError):
    """The update cannot be ordered with a decay: follow the advice in the message."""


class AlreadyDecoupledError(Tf1WdError):
    """The program or its optimizer decays weights by itself: use one of the two, not both."""


class AmbiguousRateError(Tf1WdError):
    """The rate cannot be known from the graph: pass it as `rates=`."""


class NestedScopeError(Tf1WdError):
    """Two scopes are open at once: keep the one nearest to the optimizer."""


class AuditError(Tf1WdError):
    """There is nothing to audit, or the file is no graph: follow the advice in the message."""


class MigrationError(Tf1WdError):
    """No code for TensorFlow 2 trains as the program does: follow the advice in the message."""


class NativeOpError(Tf1WdError):
    """The compiled op cannot be had: run `tf1-wd doctor`, or drop `backend="native"`."""


class CoupledPenaltyError(Tf1WdError):
    """The train_op's gradient holds the L2 term already: build it inside the scope instead."""


# of tf1_wd.legacy


class KerasChosenError(Tf1WdError, RuntimeError):
    """Keras 3 is in use already, and TF1 code needs Keras 2: call install() before TensorFlow is used."""


class NoStandInError(Tf1WdError, AttributeError):
    """A name of tf.contrib or Keras has no stand-in on TensorFlow 2: leave it out, or run on TensorFlow 1.15."""


class NoStandInImportError(Tf1WdError, ImportError):
    """A program imports a name of tf.contrib that has no stand-in: leave it out, or run on TensorFlow 1.15."""


# module -> what pip installs for it
PACKAGES = {
    "PIL": "pillow",
    "libcst": "'libcst>=1.0.1,<2'",
    "matplotlib": "matplotlib",
    "scipy": "scipy",
    "tensorflow": "tensorflow tf-keras" if sys.version_info >= (3, 8) else "'tensorflow<2' 'protobuf<3.21'",
    "tensorflow_estimator": "tensorflow-estimator==2.15.0",
    "tf_keras": "tf-keras",
    "tf_slim": "tf-slim",
    "tqdm": "tqdm",
}


class MissingPackageError(Tf1WdError, ImportError):
    """A package is not installed: install it as the message says."""

    @classmethod
    def of(cls, what: str, module: str) -> MissingPackageError:
        """An error that says that `what` needs the package of a module."""
        return cls("%s needs a package: pip install %s" % (what, PACKAGES[module]))


class GoneError(Tf1WdError, NotImplementedError):
    """The program uses what TensorFlow took away: leave it out, or use the TensorFlow that the message names."""


class NoDataError(Tf1WdError, OSError):
    """A data set is not where the program looks for it: put the files that are named there."""


# what a program needs and does not have, whether it is decoupled or not
OF_LEGACY = (KerasChosenError, NoStandInError, NoStandInImportError, MissingPackageError, GoneError, NoDataError)


# warnings


class NativeOpWarning(Tf1WdWarning):
    """The compiled op is not in use: run `tf1-wd doctor` to see why; results stay the same, slower."""


class UndecayedWarning(Tf1WdWarning):
    """Something that looks like a penalty is not applied: read `print(decay.plan)`."""
