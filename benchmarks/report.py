"""A measurement as text."""

from collections.abc import Mapping
from typing import Any

from xabl.results.summary import aligned


def text(result: Mapping[str, Any]) -> str:
    """A table of the facts of a result, and one of each list of facts in it.

    Args:
        result: as `machine.write_result` keeps it. Where a fact is a list, its items
            are the columns of a table, or its rows if they are more than the facts.
    """
    lists = {name: runs for name, runs in result.items() if isinstance(runs, list)}
    tables = [[{name: fact for name, fact in result.items() if name not in lists}]]
    tables += [runs for runs in lists.values() if runs]
    return "\n\n".join(_table([_flat(facts) for facts in table]) for table in tables)


def _table(columns: list[dict[str, Any]]) -> str:
    names = dict.fromkeys(name for facts in columns for name in facts)
    rows = [[name, *(_short(f.get(name)) for f in columns)] for name in names]
    if len(columns) > len(names):
        rows = [list(row) for row in zip(*rows, strict=True)]
    return aligned(rows)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Facts within facts, each named by its way: "seconds compile"."""
    found = {}
    for name, fact in facts.items():
        if isinstance(fact, Mapping):
            found |= _flat(fact, f"{prefix}{name} ")
        else:
            found[prefix + name] = fact
    return found


def _short(fact: Any) -> str:
    if fact is None:
        return "?"
    return f"{fact:.4g}" if isinstance(fact, float) else str(fact)
