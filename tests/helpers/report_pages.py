"""Reading a report back: its data as the page's script decodes them, its elements."""

import base64
import json
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

KINDS = {"u1": "<u1", "i2": "<i2", "u2": "<u2", "i4": "<i4", "u4": "<u4", "f4": "<f4"}


class Page(HTMLParser):
    """The elements of an HTML file.

    elements: tag and attributes, in order. scripts: text by id. text: what is read.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str | None, str] = {}
        self.text = ""
        self._inside: str | None = None
        self._script: str | None = None
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.index = json.loads(self.scripts["index"])

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self._script = dict(attrs).get("id")
            self.scripts[self._script] = ""

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[self._script] += data
        elif self._inside != "style":
            self.text += data

    def block(self, name: str) -> tuple[dict[str, np.ndarray], object]:
        """Arrays and texts of a block."""
        content = zlib.decompress(base64.b64decode(self.scripts[f"block-{name}"]))
        header = self.index["blocks"][name]
        arrays = {
            key: np.frombuffer(content, KINDS[kind], length, offset)
            for key, (kind, offset, length) in header["arrays"].items()
        }
        return arrays, json.loads(content[header["json"] :])

    def losses(self, run: int) -> np.ndarray:
        """[examples cells] in steps, as they lie in the page."""
        about = self.index["runs"][run]
        arrays, _ = self.block(about["scores"])
        return arrays["losses"].reshape(-1, len(about["cells"]))
