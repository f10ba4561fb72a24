"""Reads TensorFlow graphs: what lies behind a tensor, which variables, equal structure. Changes nothing."""

from __future__ import annotations

from tf1_wd.graph.op_types import CALLS, GATES, READS, REARRANGEMENTS
from tf1_wd.graph.variables import holder, is_variable, read_source, variable_op, variables_behind
from tf1_wd.graph.walk import (
    ancestors,
    argument,
    between,
    consumers_among,
    data_inputs,
    has_session,
    is_accumulator,
    is_input,
    is_taken,
    is_uniform,
    key,
    predecessors,
    same_structure,
    sources,
    through,
)
