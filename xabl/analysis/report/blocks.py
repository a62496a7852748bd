"""Columns of numbers inside an HTML page: deflated, as base64, decoded when needed."""

import base64
import dataclasses
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

# NumPy's little-endian types by the names the page's script knows them by.
_KINDS = {np.dtype(f"<{kind}"): kind for kind in ("u1", "i2", "u2", "i4", "u4", "f4")}
_ALIGNMENT = 4  # typed arrays of the page start at multiples of their size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Block:
    """Arrays and texts of the page under one name.

    header: where each array lies (kind, first byte, length), and where the JSON does.
    content: base64 of the deflated bytes.
    """

    name: str
    header: dict[str, Any]
    content: str


def pack(name: str, arrays: Mapping[str, np.ndarray], texts: Any = None) -> Block:
    """Packs arrays (flattened, C order) and one JSON value.

    Raises:
        KeyError: an array of a type the page cannot read.
    """
    parts, where, size = [], {}, 0
    for key, array in arrays.items():
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        content = little.tobytes()
        where[key] = [_KINDS[little.dtype], size, little.size]
        padding = -len(content) % _ALIGNMENT
        parts.append(content + bytes(padding))
        size += len(parts[-1])
    content = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    parts.append(content.encode("utf-8", errors="replace"))
    deflated = zlib.compress(b"".join(parts), 9)
    return Block(
        name=name,
        header={"arrays": where, "json": size},
        content=base64.b64encode(deflated).decode("ascii"),
    )


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element, whatever its texts hold."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("&", "\\u0026")
