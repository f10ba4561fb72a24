"""In graph mode: what Keras's own optimizer hears of tf.gradients while it decays by a plan."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from tf1_wd import graph
from tf1_wd._tf import tf
from tf1_wd.decay.scope import hooks
from tf1_wd.graph.gradients import as_list
from tf1_wd.penalties.gradient_call import GradientCall
from tf1_wd.plan.decisions import DecayPlan
from tf1_wd.plan.options import make_rules


class PlanListener(hooks.Listener):
    """Takes the L2 of some weights out of gradients; the decay itself is a part of the optimizer's update.

    plan: DecayPlan. variables: the weights whose L2 leaves the gradient.
    """

    gradient_keys = None

    def __init__(self, plan: DecayPlan, variables: Sequence[Any]) -> None:
        self.plan, self.rules = plan, make_rules(order=plan.order)
        self._variables = {graph.variable_op(v) for v in variables}
        self._calls: list[GradientCall] = []

    @property
    def reads(self) -> dict[tf.Operation, list[tf.Operation]]:
        """{op of a variable: what reads its old weights for the loss, and so must run before its update}."""
        return {v: [op for call in self._calls for op in call.reads_of(v)] for v in self._variables}

    def gradients(self, compute: Callable[..., list], arguments: dict[str, Any]) -> list:
        """Takes the L2 out of one call of tf.gradients."""
        call = GradientCall(arguments["ys"], arguments["xs"], arguments["grad_ys"], of=self._variables)
        self._calls.append(call)
        constants = as_list(arguments["stop_gradients"]) + call.constants
        return call.keep(compute(**dict(arguments, ys=call.ys, stop_gradients=constants)))


def heard(listener: hooks.Listener, method: Callable[..., Any]) -> Callable[..., Any]:
    """A method whose calls of tf.gradients and apply_gradients go to the listener."""

    def call(*args: Any, **kwargs: Any) -> Any:
        hooks.listen(listener)
        try:
            return method(*args, **kwargs)
        finally:
            hooks.forget()

    return call
