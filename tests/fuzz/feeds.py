"""Targets of what other servers say: the feed that a relay puts on show."""

from collections.abc import Sequence
from functools import cache

from surgecast.delivery.channels import Stage
from surgecast.delivery.replica.lines import end_line, heartbeat_line
from surgecast.errors import RemoteError
from tests.fuzz.target import Target, refused
from tests.support.mirrors import Copy, Source, playlists


@cache
def _before() -> tuple[bytes, ...]:
    """What the relay heard before the bytes come."""
    return tuple(_source(7).log.snapshot())


def _source(segments: int) -> Source:
    source = Source()
    for _ in range(segments):
        source.publish()
    source.publish_parts(20)
    source.lines.clear()
    return source


def _numbers(stage: Stage) -> tuple[int, ...]:
    parts = stage.low_latency.window if stage.low_latency is not None else None
    window = stage.window
    ours = (window.first_msn, window.next_msn, window.discontinuity_sequence)
    if parts is None:
        return ours
    return (*ours, parts.first_msn, parts.next_msn, parts.discontinuity_sequence)


def _feed(data: bytes) -> str:
    """Whatever a feed says, only RemoteError comes of it, and no number goes back (R4, R5)."""
    copy = Copy()
    copy.read(_before())
    numbers, outcome = _numbers(copy.stage), "taken"
    try:
        copy.reconnect()
        copy.read(data.splitlines(keepends=True))
    except RemoteError as error:
        outcome = refused(error)
    if copy.mirror.stage is not None:
        after = _numbers(copy.stage)
        assert all(a <= b for a, b in zip(numbers, after, strict=False)), "a number went back"
        playlists(copy.stage)
    return outcome


def _seeds() -> Sequence[bytes]:
    source = _source(8)
    whole = b"".join(source.log.snapshot())
    source.publish(discontinuity=True)
    source.encoder.die(new_init=True)
    source.publish_parts(3)
    live = b"".join(source.lines)
    young, back = b"".join(_source(3).log.snapshot()), Source(next_msn=40)
    back.publish()
    return [
        whole,
        whole + live,
        whole + heartbeat_line() + end_line(),
        young,
        b"".join(back.log.snapshot()),
        b"<!DOCTYPE html>\n<html>\n",
    ]


TARGETS = (Target("feed", _seeds, _feed),)
