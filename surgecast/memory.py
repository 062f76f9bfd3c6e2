"""How this process asks the system for memory, where media comes and goes for ever."""

import ctypes

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 128 * 1024


def keep_large_blocks_apart() -> bool:
    """Give each segment pages of its own, which go back to the system with it.

    The C library begins so, and then takes the size of what is freed for a sign that such blocks
    come and go: from then on segments lie between small things on one heap, where the holes they
    leave are never quite filled. True where the library takes advice (glibc does).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES))
