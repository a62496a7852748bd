"""What tests of the binaries share: files written once, compiled programs kept."""

import pytest

from tests.helpers.ablation_binaries import Workshop


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("workshop"))
