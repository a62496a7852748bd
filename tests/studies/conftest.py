"""What tests of whole studies share: the golden world, a cache of compiled programs."""

import pytest

from tests.helpers import golden_world


@pytest.fixture(scope="session")
def golden(tmp_path_factory):
    """A folder with the golden world's regions, and a cache for compiled programs."""
    folder = tmp_path_factory.mktemp("golden")
    golden_world.write_regions(folder, "lmdb")
    return folder
