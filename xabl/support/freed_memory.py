"""What becomes of memory that was freed; glibc alone can be told, others decide."""

import ctypes
import gc
import sys

# Parameters of mallopt, as glibc's malloc.h numbers them.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def return_freed() -> None:
    """Gives memory that was freed back to the system; glibc keeps some for itself.

    After a model was loaded that is a third of its size. What only circles of
    references hold is freed first: Python may not look for them for a long time.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def keep_freed() -> None:
    """From now on, this process keeps memory that it frees, for its own next use.

    Large arrays would go back to the system, which clears their pages when it gives
    them out again: at every update of a training on CPUs, a tenth of its time. For a
    process that does the same over and over; it stays as large as it ever was.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MMAP_MAX, 0)
            mallopt(_TRIM_THRESHOLD, -1)
            # Threads' own arenas return what they free whatever the threshold is.
            mallopt(_ARENA_MAX, 1)
