"""How much arithmetic a computation is, read off its trace."""

from collections.abc import Callable
from math import prod
from typing import Any

import jax


def matrix_product_flops(function: Callable, *arguments: Any) -> float:
    """Operations (a multiply-add is two) of all matrix products in one call.

    Loops count as often as they run. Of alternatives the cheapest counts, which in the
    training step is the one that is taken (`losses.sum_at_targets`).

    Args:
        function: anything jax can trace.
        arguments: arrays or `jax.ShapeDtypeStruct`s.
    """
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def _flops(traced: Any) -> float:
    total = 0.0
    for equation in traced.eqns:
        parameters = equation.params
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            summed = prod(equation.invars[0].aval.shape[axis] for axis in contracted)
            total += 2.0 * summed * prod(equation.outvars[0].aval.shape)
        elif equation.primitive.name == "cond":
            total += min(_flops(branch.jaxpr) for branch in parameters["branches"])
        else:
            times = parameters.get("length", 1) if "jaxpr" in parameters else 1
            for value in parameters.values():
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    total += times * _flops(inner)
    return total
