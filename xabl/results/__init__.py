"""The contract between those who write results and those who read them.

    from xabl import results

    results.write(frame, "results/mine", label="My model")  # of any program
    results.check("results/mine")                           # what is wrong with it
    results.read("results/mine")                            # aligned arrays in bits

`conditions` says what a condition hides and what it is called, `losses` what is
measured, `format` the files column by column.
"""

from typing import TYPE_CHECKING, Any

from xabl.results.conditions import Condition as Condition
from xabl.results.conditions import Direction as Direction
from xabl.results.conditions import Level as Level

if TYPE_CHECKING:
    from xabl.results.checking import check as check
    from xabl.results.losses import LOSSES as LOSSES
    from xabl.results.reading import Run as Run
    from xabl.results.reading import read as read
    from xabl.results.writing import write as write

_LATER = {
    "LOSSES": "losses",
    "check": "checking",
    "Run": "reading",
    "read": "reading",
    "write": "writing",
}


def __getattr__(name: str) -> Any:
    """Imports what needs numpy or PyArrow when it is first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
