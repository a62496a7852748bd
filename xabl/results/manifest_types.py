"""Of which types a manifest's parts are; other programs write manifests, too."""

from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any

from xabl.results.format import YARDSTICKS
from xabl.results.losses import LOSSES

_TEXT, _NUMBER = (str, NoneType), (int, float, NoneType)
# Those that readers rely on. What is not there is not known.
_PARTS = {
    "model": (dict,),
    "model.label": (str,),
    "model.name": (str,),
    "model.seed": (int, NoneType),
    "model.params_sha256": _TEXT,
    "data": (dict,),
    "data.split": _TEXT,
    "data.regions_sha256": _TEXT,
    "data.vocab_sha256": _TEXT,
    "flags": (dict,),
    "thresholds": (list, NoneType),
    "precision": _TEXT,
    "identity": (dict, NoneType),
    "identity.image_token": _TEXT,
    "identity.vlbert_positions": _TEXT,
    YARDSTICKS: (dict, NoneType),
}
# Of each loss under it (`yardsticks.Yardstick`).
_YARDSTICK = {
    "intact": (int, float),
    "unigram": (int, float),
    "uniform": _NUMBER,
    "low": _NUMBER,
    "high": _NUMBER,
    "warning": _TEXT,
}
_NEEDED = {"model", "model.label", "model.name", "data"}
_WORDS = {dict: "an object", list: "a list", str: "a text", NoneType: "null"}
_WORDS |= {int: "a whole number", float: "a number"}


def type_problems(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What is missing or of another type, in words."""
    parts, needed = dict(_PARTS), set(_NEEDED)
    known = manifest.get(YARDSTICKS)
    for loss in known if isinstance(known, dict) else ():
        if loss not in LOSSES:
            yield f"{YARDSTICKS}: {loss[:80]!r} is no loss"
        place = f"{YARDSTICKS}.{loss}"
        fields = {f"{place}.{name}": kinds for name, kinds in _YARDSTICK.items()}
        parts |= {place: (dict,), **fields}
        needed |= fields.keys()
    found: dict[str, Any] = {"": manifest}
    for path, kinds in parts.items():
        above, _, name = path.rpartition(".")
        if not isinstance(found.get(above), dict):
            continue
        if name not in found[above]:
            if path in needed:
                yield f"{path} is missing"
            continue
        found[path] = value = found[above][name]
        if type(value) not in kinds or _is_too_large(value):
            words = [_WORDS[k] for k in kinds if k is not int or float not in kinds]
            expected = " or ".join(words)
            yield f"{path} is {value!r}, expected {expected}"
        elif path == "thresholds":
            if not all(type(item) in (int, float) for item in value or ()):
                yield f"{path} are {value!r}, expected numbers"


def _is_too_large(value: Any) -> bool:
    return type(value) is int and abs(value) >= 2**63
