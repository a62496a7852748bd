"""Settings every test runs under."""

import jax

# Eight virtual devices, so that 1, 2 and 8 can be compared anywhere.
jax.config.update("jax_num_cpu_devices", 8)
