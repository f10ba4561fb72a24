"""What is known of the optimizers of tf.train, one row each; knows no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class OptimizerRow:
    """One optimizer.

    name: what `tf1-wd migrate` calls it. class_name: its class in tf.train, "" where it has none.
    kernels: {kernel: the settings that this kernel alone stands for}. ResourceSparseApplyAdam has the kernel Adam.
    keras_class: the class of Keras that does the same, "" where none is known. settings: {name in Keras: the default of
    tf.train, or None where it has to be said}, without the learning rate. inputs: {input of the update op: setting}.
    slots: {input of the update op: the setting that says its first value, or ""}. learning_rate: that input's name.
    step_reads_weights: True if the step depends on the weights, so that a decay in front of it would change it.
    is_plain: True if L2 in the loss is weight decay: SGD and Momentum.
    sparse_assignments: how the types of the ops begin that update rows of a table, if they are assignments, else "".
    untouched_rows: what happens in Keras to rows that a batch does not look up; "" where they stand still there too.
    """

    name: str
    class_name: str
    kernels: dict
    keras_class: str
    settings: dict = field(default_factory=dict)
    inputs: dict = field(default_factory=dict)
    slots: dict = field(default_factory=dict)
    learning_rate: str = "lr"
    step_reads_weights: bool = False
    is_plain: bool = False
    sparse_assignments: str = ""
    untouched_rows: str = ""


ROWS = (
    OptimizerRow(
        "sgd",
        "GradientDescentOptimizer",
        {"GradientDescent": {}},
        "SGD",
        learning_rate="alpha",
        is_plain=True,
        sparse_assignments="Scatter",
    ),
    OptimizerRow(
        "momentum",
        "MomentumOptimizer",
        {"Momentum": {}},
        "SGD",
        settings={"momentum": None, "nesterov": False},
        inputs={"momentum": "momentum"},
        slots={"accum": ""},
        is_plain=True,
        untouched_rows="such a row moves by momentum^k of its last step in the k-th step after it",
    ),
    # Made by Keras's SGD in a graph; its accumulator holds the learning rate of each step.
    OptimizerRow("keras_momentum", "", {"KerasMomentum": {}}, "", slots={"accum": ""}, is_plain=True),
    OptimizerRow(
        "adam",
        "AdamOptimizer",
        {"Adam": {}},
        "Adam",
        settings={"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
        inputs={"beta1": "beta_1", "beta2": "beta_2", "epsilon": "epsilon"},
        slots={"m": "", "v": "", "beta1_power": "", "beta2_power": ""},
        sparse_assignments="Assign",
    ),
    OptimizerRow(
        "rmsprop",
        "RMSPropOptimizer",
        {"RMSProp": {}, "CenteredRMSProp": {"centered": True}},
        "RMSprop",
        settings={"rho": 0.9, "momentum": 0.0, "epsilon": 1e-10, "centered": False, "initial_mean_square": 1.0},
        inputs={"rho": "rho", "momentum": "momentum", "epsilon": "epsilon"},
        slots={"ms": "initial_mean_square", "mom": "", "mg": ""},
        untouched_rows="after k steps rho^k of its mean square is left, and its next step is so much longer",
    ),
    OptimizerRow(
        "adagrad",
        "AdagradOptimizer",
        {"Adagrad": {}, "AdagradV2": {}},
        "Adagrad",
        settings={"initial_accumulator_value": 0.1},
        inputs={"epsilon": "epsilon"},  # of AdagradV2, which Keras makes
        slots={"accum": "initial_accumulator_value"},
    ),
    OptimizerRow(
        "adadelta",
        "AdadeltaOptimizer",
        {"Adadelta": {}},
        "Adadelta",
        settings={"rho": 0.95, "epsilon": 1e-8},
        inputs={"rho": "rho", "epsilon": "epsilon"},
        slots={"accum": "", "accum_update": ""},
        untouched_rows="after k steps rho^k of its averages is left, and its next step differs by that",
    ),
    OptimizerRow(
        "ftrl",
        "FtrlOptimizer",
        {"Ftrl": {}, "FtrlV2": {}},
        "Ftrl",
        settings={
            "learning_rate_power": -0.5,
            "initial_accumulator_value": 0.1,
            "l1_regularization_strength": 0.0,
            "l2_regularization_strength": 0.0,
            "l2_shrinkage_regularization_strength": 0.0,
        },
        inputs={
            "lr_power": "learning_rate_power",
            "l1": "l1_regularization_strength",
            "l2": "l2_regularization_strength",
            "l2_shrinkage": "l2_shrinkage_regularization_strength",
        },
        slots={"accum": "initial_accumulator_value", "linear": ""},
        step_reads_weights=True,
        untouched_rows="such a row becomes what its accumulators say, 0 before its first gradient",
    ),
)

BY_KERNEL = {kernel: row for row in ROWS for kernel in row.kernels}
BY_CLASS = {row.class_name: row for row in ROWS if row.class_name}
MIGRATED = {row.name: row for row in ROWS if row.keras_class}  # those that Keras has
LEARNING_RATES = tuple(dict.fromkeys(row.learning_rate for row in ROWS))
