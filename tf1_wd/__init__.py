"""True (decoupled) weight decay for TensorFlow-1 graph-mode code."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

# name -> module that defines it; loaded on first use, so that importing tf1_wd imports no TensorFlow
_PUBLIC = {
    "decoupled_weight_decay": "tf1_wd.decay.scope.scope",
    "coupled_weight_decay": "tf1_wd.decay.scope.scope",
    "attach": "tf1_wd.decay.attach",
    "plan_decay": "tf1_wd.decay.coupled",
    "add_decay_to_gradients": "tf1_wd.decay.coupled",
    "remove_decay_from_gradients": "tf1_wd.decay.coupled",
    "load_native_op": "tf1_wd.native.loader",
    "check_servers": "tf1_wd.native.servers",
    "DecayPlan": "tf1_wd.plan.decisions",
    "convert_rate": "tf1_wd.conventions.convert",
    "migrate_plan": "tf1_wd.commands.migrate.writing.module",
    "CudaConvnetOptimizer": "tf1_wd.optimizers.cuda_convnet",
    "read_layer_params": "tf1_wd.plan.layer_params",
    "bias_and_norm": "tf1_wd.plan.predicates",
    "tf2": "tf1_wd.tf2",
}
_PUBLIC.update(
    (name, "tf1_wd.errors")
    for name in (
        "AlreadyDecoupledError",
        "AmbiguousRateError",
        "AuditError",
        "CoupledPenaltyError",
        "EagerModeError",
        "GoneError",
        "InvalidOptionError",
        "InvalidRateError",
        "KerasChosenError",
        "MigrationError",
        "MissingPackageError",
        "NativeOpError",
        "NativeOpWarning",
        "NestedScopeError",
        "NoDataError",
        "NoEqualRateError",
        "NoMatchError",
        "NoStandInError",
        "NoStandInImportError",
        "NothingToDecayError",
        "NothingUpdatedError",
        "ProgramNotFoundError",
        "Tf1WdError",
        "Tf1WdWarning",
        "UndecayedWarning",
        "UnsupportedUpdateError",
    )
)
_PUBLIC.update(
    (name, "tf1_wd.optimizers")
    for name in (
        "AdamWOptimizer",
        "DecoupledWeightDecayExtension",
        "MomentumWOptimizer",
        "checkpoint_map",
        "extend_with_decoupled_weight_decay",
    )
)

# Public modules that a program imports by name; `tf2` alone comes with tf1_wd. They are not in __all__, because
# `import *` would hide a program's own keras.
_SUBMODULES = ("conventions", "errors", "keras", "legacy", "optimizers")

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        try:
            module = importlib.import_module(_PUBLIC[name])
            return module if module.__name__ == "tf1_wd." + name else getattr(module, name)
        except ModuleNotFoundError as error:
            if error.name != "tensorflow":
                raise
            raise ModuleNotFoundError(
                "tf1_wd.%s needs TensorFlow, which is not installed: pip install 'tf1-wd[tensorflow]'" % name,
                name="tensorflow",
            ) from error
    if name in _SUBMODULES:
        raise AttributeError("tf1_wd.%s is a module of its own: import tf1_wd.%s" % (name, name))
    raise AttributeError("module 'tf1_wd' has no attribute %r; it has: %s" % (name, ", ".join(__all__)))


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
