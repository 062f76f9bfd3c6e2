"""The reference stream, made once, and served anew for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.players import reference as stream
from tests.players.drivers.ffmpeg import Ffmpeg


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> stream.Reference:
    if reason := Ffmpeg().installed():
        pytest.skip(reason)
    return stream.encode(tmp_path_factory.mktemp("reference"))


@pytest.fixture
async def base(reference: stream.Reference) -> AsyncIterator[str]:
    """Address of a server whose live playlists have not begun yet."""
    async with stream.served(reference) as address:
        yield address
