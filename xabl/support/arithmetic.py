"""How much arithmetic a computation is, read off its trace.

A product of an m x k with a k x n matrix counts 2mkn. What is not a matrix product
(softmax, LayerNorm, GELU, gathers) is left out; in full-size models it is a few per
cent.
"""

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import jax


def matrix_product_flops(function: Callable, *arguments: Any) -> float:
    """Operations (a multiply-add is two) of all matrix products in one call.

    What no result depends on is not counted: the compiler drops it. Loops count as
    often as they run. Of alternatives the cheapest counts, which in the training step
    is the one that is taken (`losses.sum_at_targets`).

    Args:
        function: anything jax can trace.
        arguments: arrays or `jax.ShapeDtypeStruct`s.
    """
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def needed_equations(traced: Any, needed: set) -> Iterator[Any]:
    """The equations of a jaxpr that its results depend on, from last to first.

    Args:
        traced: a jaxpr.
        needed: is given the variables that the results depend on.
    """
    needed.update(variable for variable in traced.outvars if _is_variable(variable))
    for equation in reversed(traced.eqns):
        if needed.intersection(equation.outvars):
            needed.update(filter(_is_variable, equation.invars))
            yield equation


def _is_variable(atom: Any) -> bool:
    return not hasattr(atom, "val")  # a literal has


def _flops(traced: Any) -> float:
    total = 0.0
    for equation in needed_equations(traced, set()):
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
