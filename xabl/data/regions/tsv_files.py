"""Region features as published in TSV: one image a row, arrays in base64."""

import codecs
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from xabl.data.regions.image_regions import ImageRegions
from xabl.data.regions.records import (
    in_base64,
    record_of_regions,
    regions_of_record,
)
from xabl.data.regions.source import OnError, RegionSource
from xabl.errors import UserError, naming
from xabl.support.atomic import new_file
from xabl.support.image_ids import canonical_id, loosely, two_forms

COLUMNS = (
    "img_id",
    "img_h",
    "img_w",
    "objects_id",
    "objects_conf",
    "attrs_id",
    "attrs_conf",
    "num_boxes",
    "boxes",
    "features",
    "cls_prob",
    "attrs",
    "classes",
)
_REQUIRED_COLUMNS = 10  # cls_prob, attrs and classes may be missing
_LONGEST_ROW = 64 * 2**20  # real rows have about 1 MB


class TsvRegions(RegionSource):
    """Rows of a TSV file, one in memory at a time.

    Reading many images passes once over the file, up to the last one needed, and
    builds no index; `image_ids` and `read` index the whole file by byte offset, in
    memory. Of several rows with one id the first counts; rows whose ids are two forms
    of one are an error.
    """

    form = "TSV file of region features"

    def __init__(self, path: Path):
        super().__init__(path)
        self._file = open(path, "rb")
        self._num_columns = self._row(0).count(b"\t") + 1
        if self._num_columns < _REQUIRED_COLUMNS:
            self.close()
            raise UserError(
                f"{path}, line 1: {self._num_columns} columns, at least "
                f"{_REQUIRED_COLUMNS} are expected: {', '.join(COLUMNS)}"
            )

    @property
    def image_ids(self) -> tuple[str, ...]:
        return tuple(self._index)

    @property
    def is_empty(self) -> bool:
        return False  # line 1 has the columns of an image

    def read(self, image_id: str) -> ImageRegions:
        if canonical_id(image_id) not in self._index:
            raise self.missing_image(image_id)
        number, offset = self._index[canonical_id(image_id)]
        return self._parsed(number, self._row(offset))

    def _each(
        self, image_ids: Sequence[str], on_error: OnError
    ) -> Iterator[ImageRegions]:
        wanted = {canonical_id(image_id): image_id for image_id in image_ids}
        left, forms_agree = len(wanted), True
        read_as: dict[str, str] = {}  # names of rows that are not canonical
        likely, like = set(map(loosely, image_ids)), {}
        for number, _, row in self._rows():
            name = _row_name(row)
            key = canonical_id(name)
            if key not in wanted:
                if loosely(name) in likely:
                    like.setdefault(loosely(name), name)
                continue
            image_id, wanted[key] = wanted[key], None
            if image_id is None:
                self._check_form(read_as.get(key, key), name, number)
                continue
            if name != key:
                read_as[key] = name
            forms_agree &= name == image_id
            left -= 1
            try:
                image = self._parsed(number, row)
            except UserError as error:
                on_error(image_id, error)
            else:
                yield image
            if not left and forms_agree:  # else a later row may be the one
                return
        for image_id in filter(None, wanted.values()):
            on_error(image_id, self.missing_image(image_id, like))

    def close(self) -> None:
        self._file.close()

    @functools.cached_property
    def _index(self) -> dict[str, tuple[int, int]]:
        """Line number and byte offset by image id."""
        index: dict[str, tuple[int, int]] = {}
        names: dict[str, str] = {}
        for number, offset, row in self._rows():
            name = _row_name(row)
            key = canonical_id(name)
            self._check_form(names.setdefault(key, name), name, number)
            index.setdefault(key, (number, offset))
        return index

    def _check_form(self, first: str, name: str, number: int) -> None:
        """Refuses a row whose id is another form of an earlier one's."""
        if first != name:
            raise two_forms(f"{self.path}, line {number}", first, name)

    def _rows(self) -> Iterator[tuple[int, int, bytes]]:
        """Line number, byte offset and bytes of every row."""
        offset, number = 0, 1
        while True:
            row = self._row(offset)
            if not row:
                return
            if row.startswith(b"\0") or len(row) == _LONGEST_ROW:
                raise UserError(
                    f"{self.path}, line {number}: zero bytes, or no end of line within "
                    f"{_LONGEST_ROW >> 20} MiB, where a row is expected: the file was "
                    "not fetched to its end, or is damaged; fetch it again"
                )
            if row.strip(b"\r\n"):  # a file may end with empty lines
                yield number, offset, row
            offset += len(row)
            number += 1

    def _row(self, offset: int) -> bytes:
        with naming(self.path):
            self._file.seek(offset)  # another read may have moved it
            return self._file.readline(_LONGEST_ROW)

    def _parsed(self, number: int, row: bytes) -> ImageRegions:
        place = f"{self.path}, line {number}"
        values = row.rstrip(b"\r\n").split(b"\t")
        if len(values) != self._num_columns:
            raise UserError(
                f"{place}: {len(values)} columns where line 1 has "
                f"{self._num_columns}; the row is cut: fetch the file again"
            )
        record = dict(zip(COLUMNS, values, strict=False))
        return regions_of_record(record, _row_name(row), place)

    def _first_image(self) -> ImageRegions:
        number, _, row = next(self._rows())
        return self._parsed(number, row)


def write(path: Path, images: Iterable[ImageRegions], overwrite: bool = False) -> None:
    """Writes images as a TSV file, without the column `classes`.

    Raises:
        UserError: the file exists or cannot be written.
    """
    with new_file(Path(path), overwrite) as temporary, open(temporary, "wb") as file:
        for image in images:
            record = in_base64(record_of_regions(image, short_names=False))
            record["img_id"] = image.image_id
            values = [record.get(column, "") for column in COLUMNS[:-1]]
            file.write(
                b"\t".join(
                    value if isinstance(value, bytes) else str(value).encode()
                    for value in values
                )
                + b"\n"
            )


def _row_name(row: bytes) -> str:
    row = row.removeprefix(codecs.BOM_UTF8)
    return row.partition(b"\t")[0].decode("utf-8", errors="replace")
