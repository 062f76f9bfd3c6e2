"""Rules of HTTP: status, length, headers, and the probes a checker makes on purpose."""

import math
import re
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from surgecast.hls import ts
from surgecast.hls.observation import CacheControl, Finding, Kind, Response

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
SEGMENT_TYPES = ("video/mp2t", "video/mp4", "video/iso.segment")
FRAGMENT_SUFFIXES = (".m4s", ".mp4", ".cmfv", ".cmfa", ".m4v", ".m4a")
BLOCKED_TARGETS = 6
"""Target durations for which the answer to a blocking request may be kept."""
EXPOSED = ("cmsd-static", "cmsd-dynamic", "age", "date", "content-length")
REQUESTED = ("range", "cmcd-request", "cmcd-object", "cmcd-status", "cmcd-session")
"""Request headers a browser player asks leave for."""

_KEY = r"[a-z][a-z0-9_.*-]*"
_VALUE = r"(?:-?[0-9]+(?:\.[0-9]+)?|\"[^\"]*\"|[A-Za-z*][^\s;,=\"]*|\?[01])"
_PARAMETERS = rf"(?:;{_KEY}(?:={_VALUE})?)*"
_MEMBER = rf"\"[^\"]+\"{_PARAMETERS}"
_PAIR = rf"{_KEY}(?:={_VALUE})?"
_CMSD = {
    "cmsd-dynamic": re.compile(rf"{_MEMBER}(?:, ?{_MEMBER})*"),
    "cmsd-static": re.compile(rf"{_PAIR}(?:, ?{_PAIR})*"),
}


def check_response(response: Response, target_duration_s: int) -> list[Finding]:
    """R3, R24, R28, R29, R30, R32, R33, R56 of one GET of something that is listed."""
    if 300 <= response.status < 400:
        return [Finding("R3", response.url, f"redirected with {response.status}")]
    if response.status != 200:
        what = f"listed, but answered {response.status}"
        return [Finding("R24", response.url, what), *_cors(response)]
    found = [*_type(response), *_cache(response, target_duration_s), *_cors(response)]
    found += [*_fresh(response, target_duration_s), *_cmsd(response)]
    found += _encoding(response) if response.kind.is_playlist else _whole(response)
    return found


def _whole(response: Response) -> Iterator[Finding]:
    """R24: the whole segment, as long as announced; R29: never compressed."""
    announced = response.header("content-length")
    if announced != str(len(response.body)) or not response.complete:
        what = f"{len(response.body)} bytes, Content-Length {announced or 'missing'}"
        yield Finding("R24", response.url, what)
    packets = response.kind is Kind.SEGMENT and not _is_fragment(response.url)
    if not response.body or (packets and len(response.body) % ts.PACKET_BYTES):
        yield Finding("R24", response.url, f"{len(response.body)} bytes: not whole packets")
    if response.header("content-encoding"):
        yield Finding("R29", response.url, "a segment is compressed")


def _is_fragment(url: str) -> bool:
    """Fragmented MP4, by its name."""
    return urlsplit(url).path.lower().endswith(FRAGMENT_SUFFIXES)


def _type(response: Response) -> Iterator[Finding]:
    """R28."""
    expected: tuple[str, ...] = (PLAYLIST_TYPE,)
    if response.kind is Kind.INIT:
        expected = ("video/mp4",)
    elif response.kind.is_media:
        fragment = response.kind is Kind.PART or _is_fragment(response.url)
        expected = SEGMENT_TYPES[1:] if fragment else SEGMENT_TYPES[:1]
    found = response.header("content-type").partition(";")[0].strip().lower()
    if found not in expected:
        words = " or ".join(expected)
        yield Finding("R28", response.url, f"Content-Type {found or 'missing'}, not {words}")


def _encoding(response: Response) -> Iterator[Finding]:
    """R29: the request accepted gzip."""
    if response.header("content-encoding").lower() != "gzip":
        yield Finding("R29", response.url, "not compressed though gzip was accepted")
    if "accept-encoding" not in response.header("vary").lower():
        yield Finding("R29", response.url, "no Vary: Accept-Encoding")


def _cache(response: Response, target_duration_s: int) -> Iterator[Finding]:
    """R30: private playlists never, shared ones half a target duration, segments for life; what
    answers a blocking request names its part in the URL, so it may be kept longer. Any playlist
    can be private: its URL, or what it names, may be one viewer's."""
    cache = CacheControl.of(response)
    private = {"private", "no-store"} <= cache.names
    if response.kind.is_private or (response.kind.is_playlist and private):
        good, wanted = private, "private, no-store"
    elif response.kind.is_playlist:
        blocking = "_HLS_msn=" in response.url
        most_s = BLOCKED_TARGETS * target_duration_s if blocking else _half(target_duration_s)
        good = cache.max_age_s is not None and 0 < cache.max_age_s <= most_s
        wanted = f"max-age={most_s}"
    else:
        good = {"public", "immutable"} <= cache.names and bool(cache.max_age_s)
        wanted = "public, max-age=..., immutable"
    if not good:
        what = f"Cache-Control {cache.text or 'missing'}, expected {wanted}"
        yield Finding("R30", response.url, what)


def _half(target_duration_s: int) -> int:
    return math.ceil(target_duration_s / 2)


def _cors(response: Response) -> Iterator[Finding]:
    """R33: any origin may read the answer and the headers players use, on errors too."""
    if response.header("access-control-allow-origin") != "*":
        what = f"no Access-Control-Allow-Origin: * on {response.status}"
        yield Finding("R33", response.url, what)
    exposed = _names(response.header("access-control-expose-headers"))
    missing = [name for name in EXPOSED if name not in exposed and "*" not in exposed]
    if missing:
        yield Finding("R33", response.url, f"not exposed on {response.status}: {missing}")


def _names(text: str) -> set[str]:
    return {part.strip().lower() for part in text.split(",")}


def _fresh(response: Response, target_duration_s: int) -> Iterator[Finding]:
    """R32: Last-Modified, where a live playlist has one, within 3 target durations of Date."""
    modified, date = _date(response, "last-modified"), _date(response, "date")
    if not response.kind.is_playlist or modified is None or date is None:
        return
    age_s = (date - modified).total_seconds()
    if age_s > 3 * target_duration_s:
        yield Finding("R32", response.url, f"Last-Modified is {age_s:.0f} s before Date")


def _date(response: Response, name: str) -> datetime | None:
    try:
        return parsedate_to_datetime(response.header(name))
    except ValueError:
        return None


def _cmsd(response: Response) -> Iterator[Finding]:
    """R56: where CMSD is sent, in the form that a player which splits at `;` and `=` reads."""
    for name, pattern in _CMSD.items():
        text = response.header(name)
        if text and not pattern.fullmatch(text):
            yield Finding("R56", response.url, f"{name}: {text} is not CMSD, or has spaces in it")


def check_cmcd(plain: Response, marked: Response, how: str) -> list[Finding]:
    """R55: CMCD, however bad, changes nothing about the answer."""
    if marked.status == plain.status and (not marked.kind.is_media or marked.body == plain.body):
        return []
    what = f"with {how} answers {marked.status}, without it {plain.status}"
    return [Finding("R55", plain.url, what)]


def check_plain(response: Response) -> list[Finding]:
    """R29 the other way: a playlist asked for without gzip is not compressed."""
    if response.header("content-encoding"):
        return [Finding("R29", response.url, "compressed though gzip was not accepted")]
    return []


def check_head(head: Response, get: Response) -> list[Finding]:
    """R24: HEAD answers as GET does, without a body."""
    found = []
    if head.status != get.status:
        found.append(Finding("R24", head.url, f"HEAD answers {head.status}, GET {get.status}"))
    if head.body:
        found.append(Finding("R24", head.url, "HEAD answers with a body"))
    lengths = head.header("content-length"), get.header("content-length")
    if get.kind.is_media and lengths[0] != lengths[1]:
        what = f"HEAD says Content-Length {lengths[0] or 'missing'}, GET {lengths[1]}"
        found.append(Finding("R24", head.url, what))
    return found


def check_options(response: Response) -> list[Finding]:
    """R33: a preflight for Range and CMCD headers is granted."""
    found = list(_cors_origin(response))
    if response.status not in (200, 204):
        found.append(Finding("R33", response.url, f"OPTIONS answers {response.status}"))
    allowed = _names(response.header("access-control-allow-headers"))
    missing = [name for name in REQUESTED if name not in allowed and "*" not in allowed]
    if missing:
        found.append(Finding("R33", response.url, f"OPTIONS does not allow {missing}"))
    return found


def _cors_origin(response: Response) -> Iterator[Finding]:
    if response.header("access-control-allow-origin") != "*":
        yield Finding("R33", response.url, "no Access-Control-Allow-Origin: * on OPTIONS")


def check_range(response: Response, whole: bytes, first: int, last: int) -> list[Finding]:
    """R34: `Range: bytes=first-last` of a segment whose bytes are `whole`."""
    if response.status != 206:
        return [Finding("R34", response.url, f"a range answers {response.status}, not 206")]
    found = []
    expected = f"bytes {first}-{last}/{len(whole)}"
    if response.header("content-range") != expected:
        what = f"Content-Range {response.header('content-range')}, expected {expected}"
        found.append(Finding("R34", response.url, what))
    if response.body != whole[first : last + 1]:
        found.append(Finding("R34", response.url, "a range has other bytes than the whole"))
    return found


def check_range_beyond(response: Response, size_bytes: int) -> list[Finding]:
    """R34: a range that starts after the end."""
    found = []
    if response.status != 416:
        what = f"a range beyond the end answers {response.status}, not 416"
        found.append(Finding("R34", response.url, what))
    elif not re.fullmatch(rf"bytes \*/{size_bytes}", response.header("content-range")):
        what = f"416 with Content-Range {response.header('content-range') or 'missing'}"
        found.append(Finding("R34", response.url, what))
    return found + list(_cors(response))


def check_future(response: Response, target_duration_s: int) -> list[Finding]:
    """R31: what does not exist yet is a 404 nobody keeps; R33 on that 404."""
    found = list(_cors(response))
    if response.status != 404:
        what = f"a future segment answers {response.status}, not 404"
        found.append(Finding("R31", response.url, what))
    cache = CacheControl.of(response)
    brief = cache.max_age_s is not None and cache.max_age_s <= target_duration_s
    if "no-store" not in cache.names and not brief:
        what = f"404 with Cache-Control {cache.text or 'missing'}, expected no-store"
        found.append(Finding("R31", response.url, what))
    return found


def check_removed(response: Response, removed_for_s: float) -> list[Finding]:
    """R23: a removed segment within segment duration + longest playlist duration."""
    if response.status == 200:
        return []
    what = f"answers {response.status} only {removed_for_s:.1f} s after it left the playlist"
    return [Finding("R23", response.url, what)]
