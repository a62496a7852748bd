"""What the tests of whole runs share."""

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from tests.helpers import tiny_runs


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Folder with what `tiny_runs.config` reads."""
    return tiny_runs.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory):
    """Keeps compiled programs on disk, so that starting again is quick."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
