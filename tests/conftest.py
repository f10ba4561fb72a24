# STAND-IN, not the original: the helper for tf1_wd/native overwrote this file by mistake at 10:58 and rebuilt it
# from what the tests use (run, kind, backend, a graph for each test). Owner: put yours back.
"""What every test starts from: a graph of its own, without v2 behavior."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def run(*fetches):
    """Initializes all variables, runs every fetch in turn in one session, returns what the last one gave."""
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for fetch in fetches:
            result = session.run(fetch)
    return result


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture(params=["reference", "resource"])
def kind(request, graph):
    tf.get_variable_scope().set_use_resource(request.param == "resource")
    return request.param


@pytest.fixture(params=["native", "tensorflow"])
def backend(request):
    return request.param
