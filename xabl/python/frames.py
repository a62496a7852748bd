"""Tables for those who ask from Python: pandas where it is installed."""

import importlib.util
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

Frame = Any  # pandas.DataFrame, or pyarrow.Table where there is no pandas


def frame(table: pa.Table | Mapping[str, Any]) -> Frame:
    """A table, or its columns by name, as a pandas frame.

    Without pandas, which the extra `analysis` brings, a `pyarrow.Table`.
    """
    if isinstance(table, Mapping):
        table = pa.table(dict(table))
    return table.to_pandas() if importlib.util.find_spec("pandas") else table
