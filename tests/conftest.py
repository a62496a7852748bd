"""Settings every test runs under."""

import signal

import jax
import pytest

# Eight virtual devices, so that 1, 2 and 8 can be compared anywhere.
jax.config.update("jax_num_cpu_devices", 8)

# Started in the background of a shell, a process and its children ignore Ctrl-C; some
# tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """Keeps compiled programs for the later tests of this process.

    Not for other processes: JAX reads what another one is still writing.
    """
    folder = tmp_path_factory.mktemp("compiled")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    """What tests of the binaries share: files written once, compiled programs kept."""
    # At the top it would come before xabl's functions are made to check shapes.
    from tests.helpers.ablation_binaries import Workshop

    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="module")
def quick_compilation():
    """Compiles in a third of the time; what is computed is the same."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def quick_unless_slow(request):
    """The same for fast tests; slow ones compile as a user does."""
    quick = request.node.get_closest_marker("slow") is None
    jax.config.update("jax_disable_most_optimizations", quick)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def undrawn(monkeypatch):
    """Files of figures are empty: for tests of what is said and listed beside them."""
    for module in ("figures.style", "report.sections"):
        monkeypatch.setattr(f"xabl.analysis.{module}.render", lambda *_, **__: b"")
