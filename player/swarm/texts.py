"""Texts of answers, unpacked and parsed once however many viewers they came to."""

import zlib
from collections import OrderedDict

from player.asking import Content
from player.failover import Wanted
from player.reading import date_utc, read
from surgecast.errors import RemoteError

PLAYLISTS_KEPT = 1024
TEXT_BYTES_MAX = 8 * 1024 * 1024
DATES_KEPT = 64


class Library:
    """Those of one swarm."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Wanted, bytes], Content] = OrderedDict()
        self._dates: dict[str, float | None] = {}

    def read(self, wanted: Wanted, url: str, body: bytes, encoding: str) -> Content:
        """Raises RemoteError."""
        key = (wanted, body)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        content = read(wanted, url, _unpacked(url, body, encoding))
        self._known[key] = content
        if len(self._known) > PLAYLISTS_KEPT:
            self._known.popitem(last=False)
        return content

    def date_utc(self, text: str) -> float | None:
        """A `Date` header: all answers of one second have the same."""
        if text not in self._dates:
            if len(self._dates) >= DATES_KEPT:
                self._dates.clear()
            self._dates[text] = date_utc(text)
        return self._dates[text]


def _unpacked(url: str, body: bytes, encoding: str) -> bytes:
    if encoding.lower() != "gzip":
        return body
    try:
        unzip = zlib.decompressobj(wbits=31)
        text = unzip.decompress(body, TEXT_BYTES_MAX)
    except zlib.error as error:
        raise RemoteError(f"{url}: says gzip and is not") from error
    if not unzip.eof:
        raise RemoteError(f"{url}: cut off, or larger than {TEXT_BYTES_MAX} bytes")
    return text
