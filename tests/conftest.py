"""Settings every test runs under."""

import signal

import jax
import pytest

# Eight virtual devices, so that 1, 2 and 8 can be compared anywhere.
jax.config.update("jax_num_cpu_devices", 8)

# Started in the background of a shell, a process and its children ignore Ctrl-C; some
# tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
