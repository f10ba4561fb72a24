"""Sets of op types, each with a name of its own; what two readers see differently is a named difference."""

from __future__ import annotations

# variables, and what changes them
VARIABLES = frozenset(["VariableV2", "Variable", "VarHandleOp"])
ASSIGNS = frozenset(["Assign", "AssignVariableOp"])
COUNTS_UP = frozenset(["AssignAdd", "AssignAddVariableOp"])
CHANGES = COUNTS_UP | {"AssignSub", "AssignSubVariableOp"}
ASSIGNMENTS = ASSIGNS | CHANGES
SCATTERS = frozenset(
    "%sScatter%s" % (prefix, name) for prefix in ("", "Resource") for name in ("Sub", "Add", "NdSub", "NdAdd")
)
DECAYS = frozenset(["Tf1WdDecay", "Tf1WdResourceDecay"])  # the compiled op of this package
LOOKUPS = frozenset(["Gather", "GatherV2", "ResourceGather"])
STITCHES = frozenset(["DynamicStitch", "ParallelDynamicStitch"])  # of rows of the parts of a table

# control flow
GATES = frozenset(["Switch", "RefSwitch", "Enter", "RefEnter"])  # between a tensor and its use in a branch or a loop
LOOP_ENDS = frozenset(["Exit", "RefExit", "NextIteration", "RefNextIteration"])
CONTROL_FLOW = GATES | LOOP_ENDS - {"RefNextIteration"} | {"Merge", "RefMerge", "LoopCond"}
# ops that run a function of the graph's library
CALLS = frozenset(
    [
        *("If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase"),
        *("PartitionedCall", "StatefulPartitionedCall"),
    ]
)

# those of them that run it in some steps only, or several times -> how many inputs stand before its arguments
BRANCHES = {"If": 1, "StatelessIf": 1, "Case": 1, "StatelessCase": 1, "While": 0, "StatelessWhile": 0}

# one tensor in, the same numbers out
COPIES = frozenset(["Identity", "Cast", "CheckNumerics"])
READS = GATES | COPIES | {"ReadVariableOp", "Snapshot"}
STOPS = frozenset(["StopGradient", "PreventGradient"])
RESHAPES = frozenset(["Reshape", "Squeeze", "ExpandDims"])
REARRANGEMENTS = RESHAPES | {"Transpose"}
PARTS = frozenset(["Slice", "StridedSlice", "Split", "SplitV", "Unpack"])
# op type -> which of its inputs are the parts
JOINS = {"ConcatV2": slice(0, -1), "Concat": slice(1, None), "Pack": slice(0, None)}
BROADCASTS = frozenset(["Tile", "BroadcastTo"])
# what depends on the shape of a tensor, whatever its numbers are
SHAPES = frozenset(["Shape", "ShapeN", "Size", "Rank", "VariableShape", "ZerosLike", "OnesLike"])

# ops that are called stateful, and depend on their inputs alone
COMPUTED = frozenset(["CheckNumerics", "Print", "ResourceGather", "ResourceGatherNd", "VariableShape"])

# arithmetic
PLUS = frozenset(["Add", "AddV2"])
SUMS = PLUS | {"AddN", "AccumulateNV2"}
SUMS_OF_TERMS = PLUS | {"AddN", "Sub", "Pack"}  # by which a program puts a loss together
SIGNS = {**dict.fromkeys(PLUS, (1.0, 1.0)), "Sub": (1.0, -1.0), "Neg": (-1.0,)}  # op type -> signs of its inputs
REDUCTIONS = frozenset(["Sum", "Mean"])
DIVISIONS = frozenset(["RealDiv", "DivNoNan"])
TIMES = frozenset(["Mul", "MulNoNan"])
PRODUCTS = DIVISIONS | {"Mul"}
SELECTS = frozenset(["Select", "SelectV2"])
LIMITS = frozenset(["Maximum", "Minimum", "ClipByValue"])
CLIPS = LIMITS | SELECTS
PLACEHOLDERS = frozenset(["Placeholder", "PlaceholderWithDefault"])

# What each reader looks through on its way; the readers differ on purpose.
PASSED_BY_OWN_DECAY = READS.union(REARRANGEMENTS, STOPS, LOOKUPS) | {"Print"}  # rows of a weight are weights
PASSED_BY_FACTORS = COPIES.union(STOPS, REARRANGEMENTS, PARTS, JOINS)  # parts of a gradient have its factor
PASSED_BY_FACTORS |= {"Switch", "Print", "Snapshot", "Placeholder", "UnsortedSegmentSum"}
PASSED_IN_FILES = COPIES.union(STOPS, RESHAPES, CLIPS)  # a file does not tell which call made a gradient
PASSED_IN_FILES |= {"IdentityN", "Print", "Snapshot", "ConcatV2", "UnsortedSegmentSum", "Merge", "Switch"}
PASSED_BY_CLIPS = frozenset(["Identity", "UnsortedSegmentSum", "Switch"])  # rows brought together, branches
PASSED_BY_SCHEDULES = frozenset(["Identity", "Switch", "StopGradient"])  # casts of a counter count
READS_OF_TABLES = frozenset(["Identity", "ReadVariableOp"])
PLAIN_UPDATES = ASSIGNS | {"AssignSub", "AssignSubVariableOp"}  # gradient descent that a program does by itself
