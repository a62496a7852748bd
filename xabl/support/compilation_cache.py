"""Compiled programs kept between runs."""

import os
from pathlib import Path

import jax


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, for the next run."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = str(Path(home) / "xabl" / "compiled")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
