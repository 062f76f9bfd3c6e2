"""Bytes taken as they come: never the last before the whole is right, never others than before."""

import asyncio

import pytest

from edge_relay.arrival import Arrival
from surgecast.errors import RemoteError


async def taken(arrival: Arrival, into: list[bytes]) -> None:
    async for piece in arrival.pieces():
        into.append(piece)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_pieces_are_given_as_they_come_and_the_last_byte_when_all_is_right():
    arrival, got = Arrival(), []
    reading = asyncio.create_task(taken(arrival, got))
    arrival.begin(6)
    arrival.add(b"abc")
    await settle()
    assert b"".join(got) == b"abc"
    arrival.add(b"def")
    await settle()
    assert b"".join(got) == b"abcde" and not reading.done()
    arrival.finish()
    await reading
    assert b"".join(got) == b"abcdef" == arrival.body()


async def test_a_second_try_goes_on_behind_what_was_given():
    arrival, got = Arrival(), []
    reading = asyncio.create_task(taken(arrival, got))
    arrival.begin(6)
    arrival.add(b"abc")
    await settle()
    arrival.begin(6)
    arrival.add(b"ab")
    await settle()
    assert b"".join(got) == b"abc"
    arrival.add(b"cdef")
    arrival.finish()
    await reading
    assert b"".join(got) == b"abcdef"


async def test_a_second_try_that_gives_other_bytes_ends_it():
    arrival, got = Arrival(), []
    reading = asyncio.create_task(taken(arrival, got))
    arrival.begin(6)
    arrival.add(b"abc")
    await settle()
    arrival.begin(6)
    arrival.add(b"abXdef")
    with pytest.raises(RemoteError, match="other bytes than the first"):
        await reading


async def test_what_does_not_come_is_told_to_those_who_take_it():
    arrival = Arrival()
    reading = asyncio.create_task(taken(arrival, []))
    arrival.begin(6)
    arrival.fail(RemoteError("gone"))
    with pytest.raises(RemoteError, match="gone"):
        await reading
