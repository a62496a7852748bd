"""The results of `benchmarks.accelerator` as short text."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import traces


def text(folder: Path) -> str:
    """Of all JSON files that its parts have written to a folder."""
    lines = []
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text())
        lines.append(f"== {content['part']} on {content['machine']['device']}")
        for facts in content["found"]:
            lines += _lines(facts)
    return "\n".join(lines)


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    facts = dict(facts)
    trace = facts.pop("trace", None)
    yield from facts.pop("pytest", [])[-4:]
    programs = facts.pop("programs", None)
    if isinstance(programs, dict):
        seconds = sorted(programs.values())
        facts["programs"] = len(seconds)
        facts["program_seconds"] = [round(s, 1) for s in seconds]
    yield ", ".join(f"{name} {_short(value)}" for name, value in facts.items())
    if trace is not None:
        short = {**trace, "kernels": trace["kernels"][:12]}
        yield traces.text("  trace", short)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "[" + " ".join(map(_short, value)) + "]"
    return str(value)
