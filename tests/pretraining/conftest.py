"""What the tests of whole runs share."""

import pytest

from tests.helpers import tiny_runs


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Folder with what `tiny_runs.config` reads."""
    return tiny_runs.write_data(tmp_path_factory.mktemp("data"))
