"""Compiled programs, kept for the next run."""

import os
import warnings
from pathlib import Path

import jax


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, for the next run.

    A folder the user chose (JAX_COMPILATION_CACHE_DIR) stays chosen. Where there is no
    home, or none that can be written to, programs are compiled again: no more than time
    is lost.
    """
    if jax.config.jax_compilation_cache_dir is not None:
        return
    folder = _folder()
    if folder is None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    # A damaged entry, or a disk that became full: compiled again.
    warnings.filterwarnings("ignore", message=".*persistent compilation cache.*")


def _folder() -> Path | None:
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "xabl" / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # not there; nobody's home
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None
