"""Content steering as a check sees it: manifests, their queries, and segments of other pathways."""

import json
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

from player.checking.follow import Follower, Tools
from surgecast.errors import RemoteError
from surgecast.hls.observation import Finding, Kind, MultivariantView, Response
from surgecast.hls.rulebook import Look
from surgecast.hls.rules_steering import (
    STEERING_TAG,
    check_manifest,
    check_pathway_query,
    check_same_bits,
)
from surgecast.hls.tags import read_lines

_TTL_S = 300.0
"""Where a manifest has none (RFC 8216bis section 7.4)."""
_TTL_MIN_S = 1.0


async def follow_steering(view: MultivariantView, until: float, tools: Tools) -> None:
    """Load the steering manifest as often as it says; nothing where there is no steering."""
    tag = read_lines(view.text).first(STEERING_TAG)
    server = tag.attributes.get("SERVER-URI") if tag else None
    if tag is None or not server:
        return
    url = urljoin(view.url, server)
    pathway = tag.attributes.get("PATHWAY-ID", ".")
    await _ask_queries(url, pathway, tools)
    while tools.clock.now() < until:
        try:
            answer = await tools.asker.get(_with_pathway(url, f'"{pathway}"'), Kind.STEERING)
        except RemoteError as error:
            tools.notebook.add([Finding("R51", url, str(error))])
            return
        tools.notebook.count(Look.STEERING)
        tools.notebook.add(check_manifest(answer))
        if answer.status == 410:
            return
        ttl_s, reload = _next(answer)
        url = urljoin(url, reload)
        await tools.sleep(max(0.0, min(max(ttl_s, _TTL_MIN_S), until - tools.clock.now())))


def _with_pathway(url: str, pathway: str) -> str:
    joint = "&" if urlsplit(url).query else "?"
    return f"{url}{joint}_HLS_pathway={pathway}&_HLS_throughput=5000000"


async def _ask_queries(url: str, pathway: str, tools: Tools) -> None:
    """R53, once."""
    for how, wanted in (
        ("_HLS_pathway in quotes", _with_pathway(url, f'"{pathway}"')),
        ("_HLS_pathway without quotes", _with_pathway(url, pathway)),
        ("a request without _HLS_pathway", url),
    ):
        try:
            answer = await tools.asker.get(wanted, Kind.STEERING)
        except RemoteError as error:
            tools.notebook.add([Finding("R53", url, f"{how}: {error}")])
            continue
        tools.notebook.count(Look.PATHWAY)
        if answer.status != 429:  # R52 has words of its own for that
            tools.notebook.add(check_pathway_query(answer, how))


def _next(answer: Response) -> tuple[float, str]:
    """When to ask again, and where; whatever is wrong with it has been told."""
    try:
        manifest = json.loads(answer.body)
        return float(manifest.get("TTL", _TTL_S)), str(manifest.get("RELOAD-URI", ""))
    except (ValueError, TypeError, AttributeError):
        return _TTL_S, ""


async def compare_pathways(
    view: MultivariantView, followers: Sequence[Follower], tools: Tools
) -> None:
    """R54, once: the newest segment that the pathways of one variant have in common."""
    groups: dict[str, list[Follower]] = defaultdict(list)
    tags = read_lines(view.text).all("#EXT-X-STREAM-INF")
    for tag, follower in zip(tags, followers, strict=False):
        stable = tag.attributes.get("STABLE-VARIANT-ID")
        if stable and follower.views:
            groups[stable].append(follower)
    for first, *others in groups.values():
        for other in others:
            await _compare(first, other, tools)


async def _compare(one: Follower, other: Follower, tools: Tools) -> None:
    left, right = one.views[-1].playlist, other.views[-1].playlist
    msn = min(left.next_msn, right.next_msn) - 1
    if msn < max(left.first_msn, right.first_msn):
        return
    urls = (
        urljoin(one.url, left.segments[msn - left.first_msn].uri),
        urljoin(other.url, right.segments[msn - right.first_msn].uri),
    )
    if urls[0] == urls[1]:
        return
    answers = [await tools.asker.get(url, Kind.SEGMENT) for url in urls]
    tools.notebook.count(Look.PATHWAY_SEGMENT)
    tools.notebook.add(check_same_bits(answers[0], answers[1]))
