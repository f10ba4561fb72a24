"""True (decoupled) weight decay for TensorFlow-1 graph-mode code."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

# module -> the names that it defines; loaded on first use, so that importing tf1_wd imports no TensorFlow
_NAMES = {
    "decay.scope.scope": "decoupled_weight_decay coupled_weight_decay",
    "decay.attach": "attach",
    "decay.coupled": "plan_decay add_decay_to_gradients remove_decay_from_gradients",
    "native.loader": "load_native_op",
    "native.servers": "check_servers",
    "plan.decisions": "DecayPlan",
    "conventions.convert": "convert_rate",
    "commands.migrate.writing.module": "migrate_plan",
    "optimizers.cuda_convnet": "CudaConvnetOptimizer",
    "plan.layer_params": "read_layer_params",
    "plan.predicates": "bias_and_norm",
    "tf2": "tf2",
    "errors": """
        AlreadyDecoupledError AmbiguousRateError AuditError CoupledPenaltyError EagerModeError GoneError
        InvalidOptionError InvalidRateError KerasChosenError MigrationError MissingPackageError NativeOpError
        NativeOpWarning NestedScopeError NoDataError NoEqualRateError NoMatchError NoStandInError NoStandInImportError
        NothingToDecayError NothingUpdatedError ProgramNotFoundError Tf1WdError Tf1WdWarning UndecayedWarning
        UnsupportedUpdateError
    """,
    "optimizers": """
        AdamWOptimizer DecoupledWeightDecayExtension MomentumWOptimizer checkpoint_map
        extend_with_decoupled_weight_decay
    """,
}
_PUBLIC = {name: "tf1_wd." + module for module, names in _NAMES.items() for name in names.split()}

# Public modules that a program imports by name; `tf2` alone comes with tf1_wd. They are not in __all__, because
# `import *` would hide a program's own keras.
_SUBMODULES = ("conventions", "errors", "keras", "legacy", "optimizers")

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from tf1_wd.errors import MissingPackageError

        try:
            module = importlib.import_module(_PUBLIC[name])
        except MissingPackageError as error:
            raise MissingPackageError(str(error)) from None  # without the way to it
        return module if module.__name__ == "tf1_wd." + name else getattr(module, name)
    if name in _SUBMODULES:
        raise AttributeError("tf1_wd.%s is a module of its own: import tf1_wd.%s" % (name, name))
    raise AttributeError("module 'tf1_wd' has no attribute %r; it has: %s" % (name, ", ".join(__all__)))


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
