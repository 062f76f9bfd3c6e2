"""The body of an answer as a viewer wants it: a playlist, a steering manifest. Pure."""

from email.utils import parsedate_to_datetime

from player.asking import Content
from player.failover import Wanted
from player.pathways import read_manifest
from surgecast.errors import RemoteError
from surgecast.hls.parse import parse, parse_media

RETRY_AFTER_S_MAX = 30.0
"""A server may ask for no longer pause than that."""


def read(wanted: Wanted, url: str, data: bytes) -> Content:
    """What `data` is. Raises RemoteError that names `url`."""
    try:
        text = data.decode("utf-8")
        if wanted is Wanted.STEERING:
            return read_manifest(text)
        return parse_media(text) if wanted is Wanted.PLAYLIST else parse(text)
    except (RemoteError, UnicodeDecodeError) as error:
        raise RemoteError(f"{url}: {error}") from error


def retry_after_s(text: str) -> float:
    """A `Retry-After` in seconds, within reason; 0 where it says none."""
    return min(RETRY_AFTER_S_MAX, float(text)) if text.strip().isdecimal() else 0.0


def date_utc(text: str) -> float | None:
    """A `Date` header; None where it is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None
