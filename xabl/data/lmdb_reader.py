"""Reads untrusted LMDB files, without the lmdb library.

The library maps the file into memory and follows the page numbers in it wherever they
lead: one wrong byte can end the process. Here every page number and length is checked
against the file first. The format is LMDB's own (mdb.c, version 1): two pages say where
the tree begins, of which the newer one counts; branches lead to leaves; a long value
has pages of its own.
"""

import bisect
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from xabl.errors import UserError, from_system, naming
from xabl.support.files import beginning

_HEADER = struct.Struct("<QHHHH")  # page number, -, flags, lower and upper bound
_META = struct.Struct("<IIQQ")  # magic, version, address, size of the map
_TREE = struct.Struct("<IHHQQQQQ")  # page size, flags, depth, 3 counts, entries, root
_NODE = struct.Struct("<HHHH")  # size (low, high), flags, length of the key
_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF, _OVERFLOW, _IS_META = 1, 2, 4, 8
_LONG_VALUE, _SUBTREE, _DUPLICATES = 1, 2, 4
_NO_PAGE = 2**64 - 1
_PASSING = 0xC010  # flags of pages that are being worked on
_CHECKED = 10**6  # entries that are counted when a file is opened: seconds
_DEEPEST = 32  # levels; mdb.c's own limit
_KEPT_PAGES = 1000  # in memory: every look-up begins with the same ones


class LmdbFile:
    """The entries of an LMDB file or folder; a context manager. Nothing is written.

    path: the folder, or the file itself.
    entries: how many the file says there are.
    """

    def __init__(self, path: Path):
        """Opens it and walks through its tree, unless that has millions of entries.

        Raises:
            UserError: no LMDB file, cut, or of a kind that is not read here.
        """
        self.path = path
        data = path / "data.mdb" if path.is_dir() else path
        try:
            beginning(data)
            self._file = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise from_system(error) from error
        try:
            self._length = os.fstat(self._file).st_size
            self._pages: dict[int, tuple[int, list]] = {}  # read lately
            self._open()
        except UserError:
            self.close()
            raise

    def get(self, key: bytes) -> bytes | None:
        """An entry's value, None if there is none.

        Raises:
            UserError: a page on the way to it is damaged.
        """
        if self._root == _NO_PAGE:
            return None
        number = self._root
        for _ in range(_DEEPEST):
            flags, nodes = self._page(number)
            keys = [node[0] for node in nodes]
            if flags == _LEAF:
                at = bisect.bisect_left(keys, key)
                found = at < len(keys) and keys[at] == key
                return self._value(*nodes[at][1:]) if found else None
            # The first key of a branch is empty: it leads to all that is smaller.
            number = nodes[bisect.bisect_right(keys, key, lo=1) - 1][1]
        raise self._damaged(number)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries in the order of their keys.

        Raises:
            UserError: at the first damaged page.
        """
        for key, kind, content in self._leaves():
            yield key, self._value(kind, content)

    def keys(self) -> Iterator[bytes]:
        """The keys alone: values are not read."""
        return (key for key, _, _ in self._leaves())

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._file)

    def __enter__(self) -> "LmdbFile":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open(self) -> None:
        metas = [self._meta(0)]
        size = metas[0][1]
        if size not in (2**n for n in range(8, 17)):
            raise self._no_lmdb(f"pages of {size} bytes")
        self._page_size = size
        metas.append(self._meta(size))
        last, _, flags, self.entries, self._root, self._last_page = max(metas)
        expected = (self._last_page + 1) * size
        if self._length < expected:
            raise UserError(
                f"{self.path}: data.mdb is cut: {self._length} of {expected} bytes; "
                "fetch it again"
            )
        if flags:
            raise self._no_lmdb(f"a kind of tree ({flags:#x}) that no features have")
        if self.entries <= _CHECKED and sum(1 for _ in self.keys()) != self.entries:
            raise UserError(
                f"{self.path}: data.mdb is damaged: it does not hold the "
                f"{self.entries} entries it counts; fetch it again"
            )

    def _meta(self, at: int) -> tuple[int, int, int, int, int, int]:
        """Transaction, page size, flags, entries, root, last page."""
        page = self._read(at, _HEADER.size + _META.size + 2 * _TREE.size + 16)
        magic, version, _, _ = _META.unpack_from(page, _HEADER.size)
        is_meta = _HEADER.unpack_from(page)[2] & _IS_META
        if not is_meta or magic != _MAGIC or version != _VERSION:
            raise self._no_lmdb("its first pages are others")
        free = _HEADER.size + _META.size
        page_size = _TREE.unpack_from(page, free)[0]
        _, flags, _, _, _, _, entries, root = _TREE.unpack_from(page, free + _TREE.size)
        last, transaction = struct.unpack_from("<QQ", page, free + 2 * _TREE.size)
        return transaction, page_size, flags, entries, root, last

    def _leaves(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Key, flags and content of every node of the leaves, in order."""
        todo, seen = [] if self._root == _NO_PAGE else [self._root], 0
        while todo:
            number = todo.pop()
            seen += 1
            if seen > self._last_page:  # pages that lead to each other
                raise self._damaged(number)
            flags, nodes = self._page(number)
            if flags == _LEAF:
                yield from nodes
            else:
                todo += [child for _, child, _ in reversed(nodes)]

    def _page(self, number: int) -> tuple[int, list]:
        """Flags and nodes: (key, page, b"") of a branch, (key, flags, bytes) of a leaf.

        Raises:
            UserError: no such page, or it is not what a page looks like.
        """
        if len(self._pages) > _KEPT_PAGES:
            self._pages.clear()
        if number not in self._pages:
            self._pages[number] = self._parsed_page(number)
        return self._pages[number]

    def _parsed_page(self, number: int) -> tuple[int, list]:
        page = self._read_pages(number, 1)
        own, _, flags, lower, upper = _HEADER.unpack_from(page)
        flags &= ~_PASSING
        fits = _HEADER.size <= lower <= upper <= len(page) and lower % 2 == 0
        if own != number or flags not in (_BRANCH, _LEAF) or not fits:
            raise self._damaged(number)
        offsets = struct.unpack_from(f"<{(lower - _HEADER.size) // 2}H", page, 16)
        nodes = []
        for offset in offsets:
            if not upper <= offset <= len(page) - _NODE.size:
                raise self._damaged(number)
            low, high, third, key_size = _NODE.unpack_from(page, offset)
            start = offset + _NODE.size + key_size
            key = page[offset + _NODE.size : start]
            size = low | high << 16
            if flags == _BRANCH:
                nodes.append((key, size | third << 32, b""))
                continue
            if third & (_SUBTREE | _DUPLICATES):
                raise self._no_lmdb("it holds trees in place of values")
            is_long = third & _LONG_VALUE
            content = page[start : start + (8 if is_long else size)]
            if len(content) != (8 if is_long else size):
                raise self._damaged(number)
            nodes.append(
                (key, third, content + struct.pack("<I", size) if is_long else content)
            )
        keys = [node[0] for node in nodes[flags == _BRANCH :]]
        if not nodes or any(a >= b for a, b in zip(keys, keys[1:], strict=False)):
            raise self._damaged(number)
        return flags, nodes

    def _value(self, flags: int, content: bytes) -> bytes:
        if not flags & _LONG_VALUE:
            return content
        number, size = struct.unpack("<QI", content)
        count = -(-(size + _HEADER.size) // self._page_size)
        pages = self._read_pages(number, count)
        own, _, kind, low, high = _HEADER.unpack_from(pages)
        if own != number or kind & ~_PASSING != _OVERFLOW or low | high << 16 != count:
            raise self._damaged(number)
        return pages[_HEADER.size : _HEADER.size + size]

    def _read_pages(self, number: int, count: int) -> bytes:
        if not 2 <= number <= self._last_page + 1 - count:
            raise self._damaged(number)
        return self._read(number * self._page_size, count * self._page_size)

    def _read(self, at: int, size: int) -> bytes:
        if at + size > self._length:
            raise self._no_lmdb(f"it has {self._length} bytes")
        content = b""
        while len(content) < size:  # a disk gives what comes before a bad block
            with naming(self.path):
                part = os.pread(self._file, size - len(content), at + len(content))
            if not part:
                raise UserError(f"{self.path}: became shorter while it was read")
            content += part
        return content

    def _damaged(self, number: int) -> UserError:
        return UserError(
            f"{self.path}: data.mdb is damaged (page {number} of {self._last_page}); "
            "fetch it again"
        )

    def _no_lmdb(self, why: str) -> UserError:
        return UserError(
            f"{self.path}: cannot be read as LMDB ({why}); if its data.mdb is damaged "
            "or of another kind, fetch it again"
        )
