"""Settings every test runs under."""

import signal

import jax
import pytest

# Eight virtual devices, so that 1, 2 and 8 can be compared anywhere.
jax.config.update("jax_num_cpu_devices", 8)

# Started in the background of a shell, a process and its children ignore Ctrl-C; some
# tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def quick_compilation():
    """Compiles in a third of the time; what is computed is the same."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
