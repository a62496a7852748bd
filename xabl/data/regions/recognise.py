"""Which of the region file formats a path is."""

import codecs
import re
from pathlib import Path

import h5py

from xabl.data.regions import store
from xabl.data.regions.hdf5_files import Hdf5Regions, open_hdf5, reading
from xabl.data.regions.lmdb_files import LmdbRegions
from xabl.data.regions.source import RegionSource
from xabl.data.regions.tsv_files import COLUMNS, TsvRegions
from xabl.errors import UserError, from_system, naming
from xabl.support.files import beginning, leads_nowhere

_FORMS = (
    "expected an LMDB directory (holding data.mdb), a TSV or HDF5 file of region "
    "features, or a store made by xabl import"
)
_LMDB = b"\xde\xc0\xef\xbe"  # in its first page, after 16 bytes
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def open_regions(path: Path | str) -> RegionSource:
    """Opens image regions for reading, whatever their file format.

    Args:
        path: an LMDB directory (or its data.mdb), a TSV file, an HDF5 file with a
            group per image, or a region store; told apart by content, not by name.

    Raises:
        UserError: the path does not exist, is none of these, or is damaged.
    """
    path = _without_data_mdb(Path(path))
    form = check_form(path)
    try:
        source = form(path)
    except OSError as error:
        raise from_system(error, path, "cannot be read") from error
    try:
        if source.is_empty:
            raise UserError(
                f"{path}: {source.form} without images; make or fetch it again"
            )
    except UserError:
        source.close()
        raise
    return source


def check_form(path: Path | str) -> type[RegionSource]:
    """As `open_regions`, by a look at how the file begins; large ones are quick too.

    Raises:
        UserError: as `region_form`, or the path does not exist or is none of the forms.
    """
    path = Path(path)
    try:
        form = region_form(path)
    except OSError as error:
        raise from_system(error, path, "cannot be read") from error
    if form is None:
        nowhere = leads_nowhere(path / "data.mdb")
        raise UserError(nowhere or f"{path}: no image regions; {_FORMS}")
    return form


def region_form(path: Path) -> type[RegionSource] | None:
    """The class that reads a path, or None if it holds no image regions.

    Raises:
        UserError: an HDF5 file that is cut or damaged; LMDB that is no directory; text
            that would be TSV but for its encoding or first line; no file (`beginning`).
        OSError: the path cannot be read.
    """
    path = _without_data_mdb(path)
    if path.is_dir():
        return LmdbRegions if (path / "data.mdb").is_file() else None
    start = beginning(path)
    with naming(path):
        is_hdf5 = h5py.is_hdf5(path)
    if is_hdf5:
        with open_hdf5(path) as file:
            with reading(path):
                is_store = file.attrs.get("format") == store.FORMAT
        return store.RegionStore if is_store else Hdf5Regions
    if start[16:20] == _LMDB:
        raise UserError(
            f"{path}: an LMDB file by itself: call it data.mdb, put it into a folder "
            "of its own, and give that"
        )
    if start.startswith(_UTF16):
        raise UserError(f"{path}: text in UTF-16: save it as UTF-8")
    # The first fields of a row are an id, a height and a width.
    fields = start.removeprefix(codecs.BOM_UTF8).split(b"\t")
    if len(fields) > 2 and fields[0] in (b"img_id", b"image_id"):
        raise UserError(
            f"{path}: line 1 names columns, where the first image is expected: take it "
            f"off; the columns are {', '.join(COLUMNS)}"
        )
    sizes = [re.fullmatch(rb"\d+(\.0*)?", field) for field in fields[1:3]]
    return TsvRegions if len(sizes) == 2 and all(sizes) else None


def _without_data_mdb(path: Path) -> Path:
    return path.parent if path.name == "data.mdb" else path
