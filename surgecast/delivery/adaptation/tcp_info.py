"""What the kernel knows of a connection to a viewer: how fast its peer takes what it is sent.

Linux only (`struct tcp_info` of linux/tcp.h, from 4.9 on); elsewhere there is nothing to see.
`busy` counts only the time in which something was waiting to be sent or acknowledged, so that a
viewer who asks seldom does not look slow.
"""

import socket
import struct
from typing import NamedTuple, Protocol, cast

from surgecast.delivery.adaptation.ceiling import Drained

_TCP_INFO = getattr(socket, "TCP_INFO", None)
_FIELDS = struct.Struct("=7xB60xI48xQ32xQQ")
"""Flags (the lowest bit: limited by us), rtt, bytes_acked, delivery_rate, busy_time."""
_MICROSECONDS = 1e-6


class _Reader(Protocol):
    def getsockopt(self, level: int, option: int, buflen: int, /) -> bytes: ...


class Account(NamedTuple):
    """The counters of a connection at one moment."""

    limited_by_us: bool
    rtt_s: float
    acked_bytes: int
    delivery_bps: float
    busy_s: float


def read(peer: object) -> Account | None:
    """Of a socket, or what stands for one in a transport; None where there is nothing to see."""
    if _TCP_INFO is None or not hasattr(peer, "getsockopt"):
        return None
    try:
        values = cast(_Reader, peer).getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _FIELDS.size)
    except OSError:
        return None
    if len(values) < _FIELDS.size:
        return None
    flags, rtt_us, acked, delivery, busy_us = _FIELDS.unpack(values)
    return Account(
        bool(flags & 1), rtt_us * _MICROSECONDS, acked, 8.0 * delivery, busy_us * _MICROSECONDS
    )


def between(before: Account, after: Account) -> Drained:
    """What happened between two looks."""
    return Drained(
        sent_bytes=after.acked_bytes - before.acked_bytes,
        busy_s=max(0.0, after.busy_s - before.busy_s),
        rtt_s=after.rtt_s,
        delivery_bps=None if after.limited_by_us else after.delivery_bps,
    )
