"""Sets of op types, each with a name of its own."""

from __future__ import annotations

VARIABLES = frozenset(["VariableV2", "Variable", "VarHandleOp"])
REARRANGEMENTS = frozenset(["Reshape", "ExpandDims", "Squeeze", "Transpose"])
# what control flow puts between a tensor and its use in a branch or a loop
GATES = frozenset(["Switch", "RefSwitch", "Enter", "RefEnter"])
# one input, the same numbers out
READS = GATES | {"Identity", "ReadVariableOp", "Cast", "CheckNumerics", "Snapshot"}
# ops that run a function of the graph's library
CALLS = frozenset(
    ["If", "StatelessIf", "While", "StatelessWhile", "Case", "PartitionedCall", "StatefulPartitionedCall"]
)
# op type -> which of its inputs are the parts
JOINS = {"ConcatV2": slice(0, -1), "Concat": slice(1, None), "Pack": slice(0, None)}
