"""Settings every test runs under."""

import signal

import jax

# Eight virtual devices, so that 1, 2 and 8 can be compared anywhere.
jax.config.update("jax_num_cpu_devices", 8)

# Started in the background of a shell, a process and its children ignore Ctrl-C; some
# tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
