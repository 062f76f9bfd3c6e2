"""Ports for tests that nobody else takes between the choice and the use.

They lie below the range from which the system gives ports to connections, and each is held for
the life of the test process by a lock that other test processes see.
"""

import itertools
import os
import random
import socket
from collections.abc import Iterator

_FIRST, _LAST = 20_000, 31_999
_locks: list[int] = []
"""Descriptors of the locks; they are closed by the end of the process."""


def free_port() -> int:
    """A port of 127.0.0.1 that is free for TCP and UDP, and given to nobody else."""
    for port in _candidates:
        if _locked(port) and _bindable(port):
            return port
    raise AssertionError(f"no port is free between {_FIRST} and {_LAST}")


def _in_turn() -> Iterator[int]:
    ports = list(range(_FIRST, _LAST + 1))
    random.Random(os.getpid()).shuffle(ports)
    return itertools.chain(ports, ports)


_candidates = _in_turn()


def _locked(port: int) -> bool:
    """A name in the abstract name space belongs to one socket, and is gone with its process."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0surgecast-test-port-{port}")
    except OSError:
        lock.close()
        return False
    _locks.append(lock.detach())
    return True


def _bindable(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
