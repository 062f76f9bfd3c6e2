"""Rules of content steering (R51 to R54), of two origins (R57), and of versions (R58).

RFC 8216bis sections 4.4.6.6 and 7; what players do with a manifest they do not like is in the
rules' own words.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from surgecast.hls.observation import (
    CacheControl,
    Finding,
    MediaView,
    MultivariantView,
    Response,
    Severity,
)
from surgecast.hls.rules_reload import VERSION_WITH_SKIP
from surgecast.hls.tags import Tag, read_lines

STEERING_TYPE = "application/vnd.apple.steering-list"
STEERING_TAG = "#EXT-X-CONTENT-STEERING"
VERSION = 6
"""Of every playlist here: with it TARGETDURATION is what EXTINF rounds to."""
_NEEDED = {"#EXT-X-DEFINE": 8, "#EXT-X-SKIP": VERSION_WITH_SKIP}
_DEFAULT_PATHWAY = "."


def check_version(view: MediaView | MultivariantView) -> list[Finding]:
    """R58: as high as its tags need, and no higher: an old player refuses the playlist."""
    lines = read_lines(view.text)
    needed = max([VERSION, *(least for name, least in _NEEDED.items() if lines.first(name))])
    found, line = view.playlist.version, lines.line("#EXT-X-VERSION")
    if found < needed:
        return [Finding("R58", view.url, f"EXT-X-VERSION {found}, needs {needed}", line)]
    control = view.playlist.server_control if isinstance(view, MediaView) else None
    most = max(needed, VERSION_WITH_SKIP) if control and control.can_skip_until_s else needed
    if found > most:
        what = f"EXT-X-VERSION {found}, needs only {most}"
        return [Finding("R58", view.url, what, line, Severity.WARNING)]
    return []


def check_steering_tags(view: MultivariantView) -> list[Finding]:
    """R51 (the tag, once) and R54 (every pathway has the same variants)."""
    return [*_steering_tag(view), *_pathways(view)]


def _steering_tag(view: MultivariantView) -> Iterator[Finding]:
    tags = read_lines(view.text).all(STEERING_TAG)
    if len(tags) > 1:
        what = f"{STEERING_TAG} appears {len(tags)} times"
        yield Finding("R51", view.url, what, tags[1].line)
    for tag in tags[:1]:
        for name in ("SERVER-URI", "PATHWAY-ID"):
            if not tag.attributes.get(name):
                yield Finding("R51", view.url, f"{STEERING_TAG} has no {name}", tag.line)


def _pathways(view: MultivariantView) -> Iterator[Finding]:
    lines = read_lines(view.text)
    if lines.first(STEERING_TAG) is None:
        return
    offered: dict[str, list[str]] = defaultdict(list)
    first: dict[str, Tag] = {}
    for tag in lines.all("#EXT-X-STREAM-INF"):
        pathway = tag.attributes.get("PATHWAY-ID", _DEFAULT_PATHWAY)
        first.setdefault(pathway, tag)
        stable = tag.attributes.get("STABLE-VARIANT-ID")
        if stable is None:
            what = f"a variant of pathway {pathway} has no STABLE-VARIANT-ID"
            yield Finding("R54", view.url, what, tag.line)
        offered[pathway].append(stable or "")
    one = next(iter(offered), None)
    for pathway, variants in offered.items():
        if sorted(variants) != sorted(offered[one or ""]):
            what = (
                f"pathway {pathway} offers {sorted(variants)}, {one} {sorted(offered[one or ''])}"
            )
            yield Finding("R54", view.url, what, first[pathway].line)


def check_manifest(response: Response) -> list[Finding]:
    """R51 (what is in it), R52 (never 429), R28 and R30 of a steering manifest.

    410 is an answer: steering has ended.
    """
    if response.status == 429:
        return [Finding("R52", response.url, "answers 429; a larger TTL slows players down")]
    if response.status == 410:
        return []
    if response.status != 200:
        return [Finding("R51", response.url, f"the steering server answers {response.status}")]
    found = [*_headers(response)]
    try:
        manifest = json.loads(response.body)
    except ValueError as error:
        return [*found, Finding("R51", response.url, f"not JSON: {error}")]
    if not isinstance(manifest, dict):
        return [*found, Finding("R51", response.url, "not a JSON object")]
    return [*found, *_manifest(response.url, manifest)]


def _headers(response: Response) -> Iterator[Finding]:
    kind = response.header("content-type").partition(";")[0].strip().lower()
    if kind != STEERING_TYPE:
        what = f"Content-Type {kind or 'missing'}, not {STEERING_TYPE}"
        yield Finding("R28", response.url, what)
    cache = CacheControl.of(response)
    if "no-store" not in cache.names:
        what = f"Cache-Control {cache.text or 'missing'}, expected no-store"
        yield Finding("R30", response.url, what)


def _manifest(url: str, manifest: Mapping[str, Any]) -> Iterator[Finding]:
    if manifest.get("VERSION") != 1:
        what = f"VERSION {manifest.get('VERSION')}, expected 1: players drop it for good"
        yield Finding("R51", url, what)
    ttl = manifest.get("TTL")
    if not isinstance(ttl, int | float) or isinstance(ttl, bool) or ttl <= 0:
        yield Finding("R51", url, f"TTL {ttl}, expected seconds above 0")
    reload = manifest.get("RELOAD-URI")
    if reload is not None and not urlsplit(str(reload)).netloc:
        what = f"RELOAD-URI {reload} is not absolute: Shaka stops steering"
        yield Finding("R51", url, what)
    order = manifest.get("PATHWAY-PRIORITY")
    good = isinstance(order, list) and order and all(isinstance(name, str) for name in order)
    if not good or len(set(order or ())) != len(order or ()):
        what = f"PATHWAY-PRIORITY {order}, expected a list of different pathways"
        yield Finding("R51", url, what)


def check_pathway_query(response: Response, how: str) -> list[Finding]:
    """R53: `_HLS_pathway` is taken with quotes, without, and missing."""
    if response.status in (200, 410):
        return []
    what = f"{how} answers {response.status}, expected the manifest"
    return [Finding("R53", response.url, what)]


def check_same_bits(one: Response, other: Response) -> list[Finding]:
    """R54: a segment is the same, bit by bit, on every pathway."""
    if other.status == 200 and one.body == other.body:
        return []
    what = f"answers {other.status} with {len(other.body)} bytes, {one.url} has {len(one.body)}"
    return [Finding("R54", other.url, f"another pathway's segment differs: {what}")]


def check_twins(one: MediaView, other: MediaView) -> list[Finding]:
    """R57: two origins of one channel agree on what a media sequence number names."""
    return list(_twins(one, other))


def _twins(one: MediaView, other: MediaView) -> Iterator[Finding]:
    first = max(one.playlist.first_msn, other.playlist.first_msn)
    end = min(one.playlist.next_msn, other.playlist.next_msn)
    if first >= end:
        ranges = f"{_range(one)} there, {_range(other)} here"
        yield Finding("R57", other.url, f"no media sequence number in common: {ranges}")
    for msn in range(first, end):
        yield from _twin_segment(one, other, msn)


def _range(view: MediaView) -> str:
    return f"{view.playlist.first_msn} to {view.playlist.next_msn - 1}"


def _twin_segment(one: MediaView, other: MediaView, msn: int) -> Iterator[Finding]:
    place = msn - other.playlist.first_msn
    left = one.playlist.segments[msn - one.playlist.first_msn]
    right = other.playlist.segments[place]
    line = read_lines(other.text).segment(place)
    pairs: Sequence[tuple[str, object, object]] = (
        ("name", _name(left.uri), _name(right.uri)),
        ("date", left.program_date_time, right.program_date_time),
        (
            "discontinuity number",
            one.discontinuity_number(msn),
            other.discontinuity_number(msn),
        ),
    )
    for what, there, here in pairs:
        if there != here:
            text = f"{what} of segment {msn} is {here}, {there} at {one.url}"
            yield Finding("R57", other.url, text, line)


def _name(uri: str) -> str:
    return urlsplit(uri).path.rpartition("/")[2]
