"""Which implementation decays: the native op or its twin."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf
from tensorflow.python.framework import kernels

from support.decay_op import DTYPES, both_kinds, session, variable
from tf1_wd import errors
from tf1_wd.native import choose, loader
from tf1_wd.native.decay import decay


@pytest.mark.parametrize(("name", "on_the_host"), [("Tf1WdDecay", []), ("Tf1WdResourceDecay", ["vars"])])
def test_gpu_kernels_take_rates_and_scale_from_the_gpus_memory(name, on_the_host):
    loader.native_ops()
    registered = [k for k in kernels.get_registered_kernels_for_op(name).kernel if k.device_type == "GPU"]
    assert [list(k.host_memory_arg) for k in registered] == [on_the_host] * len(DTYPES)


def test_unknown_backend_lists_the_known_ones():
    with session(), pytest.raises(errors.InvalidOptionError, match="'auto', 'native', 'tensorflow', not 'gpu'"):
        decay([variable("w", [4.0], "resource")], 0.5, 1.0, backend="gpu")


def op_types(graph):
    return {op.type for op in graph.get_operations()}


@both_kinds
def test_auto_is_native_on_a_cpu(kind):
    with session() as opened:
        decay([variable("w", [4.0], kind)], 0.5, 1.0)
        assert op_types(opened.graph) & {"Tf1WdDecay", "Tf1WdResourceDecay"}


def test_auto_is_native_where_the_variable_may_be_on_a_gpu(monkeypatch):
    monkeypatch.setattr(loader, "gpu_visible", lambda: True)
    monkeypatch.setattr(loader, "gpu_problem", lambda: None)
    with session() as opened:
        decay([variable("w", [4.0], "resource")], 0.5, 1.0)
        assert "Tf1WdResourceDecay" in op_types(opened.graph)


def test_a_driver_that_cannot_run_the_op_is_told_before_the_graph_runs(monkeypatch, recwarn):
    monkeypatch.setattr(choose, "_warned", False)
    monkeypatch.setattr(loader, "gpu_visible", lambda: True)
    monkeypatch.setattr(loader, "gpu_problem", lambda: "the CUDA driver is too old")
    with session() as opened:
        w = variable("w", [4.0], "resource")
        decay([w], 0.5, 1.0)
        assert "Tf1WdResourceDecay" not in op_types(opened.graph)
        with pytest.raises(errors.NativeOpError, match="w may be on a GPU: the CUDA driver is too old"):
            decay([w], 0.5, 1.0, backend="native")
        with tf.device("/cpu:0"):
            pinned = variable("pinned", [4.0], "resource")
        decay([pinned], 0.5, 1.0)
        assert "Tf1WdResourceDecay" in op_types(opened.graph)
    ours = [str(w.message) for w in recwarn if issubclass(w.category, errors.NativeOpWarning)]
    assert len(ours) == 1
    assert "the CUDA driver is too old" in ours[0]


def test_a_variable_on_another_kind_of_device_decays_by_the_twin():
    with session() as opened:
        with tf.device("/device:TPU:0"):
            w = variable("kernel", [4.0], "resource")
        decay([w], 0.5, 1.0)
        assert "Tf1WdResourceDecay" not in op_types(opened.graph)
        with pytest.raises(errors.NativeOpError, match="variable kernel is on /device:TPU:0"):
            decay([w], 0.5, 1.0, backend="native")


def test_auto_without_the_op_warns_once_and_uses_the_twin(monkeypatch, recwarn):
    monkeypatch.setattr(choose, "_warned", False)
    monkeypatch.setattr(loader, "_loaded", (loader.Status("twin", None, "no C++ compiler", None), None))
    with session() as opened:
        w = variable("w", [4.0], "resource")
        for _ in range(3):
            decay([w], 0.5, 1.0)
        assert "Tf1WdResourceDecay" not in op_types(opened.graph)
        with pytest.raises(errors.NativeOpError, match=r"no C\+\+ compiler"):
            decay([w], 0.5, 1.0, backend="native")
    ours = [str(w.message) for w in recwarn if issubclass(w.category, errors.NativeOpWarning)]
    assert len(ours) == 1
    assert "no C++ compiler" in ours[0]
    assert "tf1-wd doctor" in ours[0]
