"""Pathways: which there are, what a steering manifest makes of them, and what it must not do."""

import json

import pytest

from player.pathways import (
    PATHWAYS_MAX,
    PENALTY_S,
    Pathways,
    SteeringManifest,
    read_manifest,
    steering_request,
)
from surgecast.errors import RemoteError
from surgecast.hls.model import ContentSteering, MultivariantPlaylist, Variant

URL = "http://front/live/demo/index.m3u8"


def pathways(*names: str, first: str | None = None) -> Pathways:
    variants = tuple(
        Variant(f"http://{name}/{rung}.m3u8?t=1", bps, pathway_id=name, stable_id=rung)
        for name in names
        for rung, bps in (("high", 400), ("low", 100))
    )
    tag = ContentSteering("/steer/demo", first)
    return Pathways(MultivariantPlaylist(variants, steering=tag), URL)


def steer(*priority: str, **clone: object) -> SteeringManifest:
    values = {"VERSION": 1, "TTL": 10, "PATHWAY-PRIORITY": list(priority)}
    if clone:
        where = {name.replace("_", "-"): value for name, value in clone.items()}
        values["PATHWAY-CLONES"] = [{"ID": "c", "BASE-ID": "a", "URI-REPLACEMENT": where}]
    return read_manifest(json.dumps(values))


def test_it_begins_where_the_playlist_says() -> None:
    assert pathways("a", "b").current == "a"
    assert pathways("a", "b", first="b").current == "b"
    assert pathways("a", "b", first="nowhere").current == "a"
    assert pathways("a").steering_url == "http://front/steer/demo"


def test_redundant_variants_are_pathways_too() -> None:
    variants = [Variant(f"http://{s}/{b}.m3u8", b) for s in "xyz" for b in (100, 400)]
    found = Pathways(MultivariantPlaylist(tuple(variants)), URL)
    assert found.names == (".", "..", "...") and found.steering_url is None
    key = found.copies[1].key
    assert found.fail(0.0) and found.copy(key).url == "http://y/400.m3u8"


def test_the_first_that_is_known_and_not_penalised() -> None:
    found = pathways("a", "b", "c")
    assert found.fail(0.0) and found.current == "b"
    assert not found.steer(steer("a", "b"), 1.0), "a has failed"
    assert found.steer(steer("x", "c", "b"), 1.0) and found.current == "c"
    assert found.steer(steer("a"), 2.0) and found.current == "a", "there is no other in the list"


def test_penalties_end() -> None:
    found = pathways("a", "b")
    found.fail(0.0)
    assert not found.fail(1.0) and found.current == "b", "the other has failed too"
    assert not found.elsewhere(PENALTY_S - 1) and found.elsewhere(PENALTY_S)
    assert found.steer(steer("a", "b"), PENALTY_S) and found.current == "a"


@pytest.mark.parametrize(
    ("where", "url"),
    [
        ({"HOST": "c:81"}, "http://c:81/high.m3u8?t=1"),
        ({"HOST": "c", "PARAMS": {"q": "2", "b": "3"}}, "http://c/high.m3u8?t=1&b=3&q=2"),
        ({"HOST": "c", "PARAMS": {"t": "9"}}, "http://c/high.m3u8?t=9"),
        (
            {"HOST": "c", "PER_VARIANT_URIS": {"high": "https://d/h.m3u8"}},
            "https://d/h.m3u8",
        ),
    ],
)
def test_a_clone(where: dict[str, object], url: str) -> None:
    """RFC 8216bis section 7.2."""
    found = pathways("a", "b")
    assert found.steer(steer("c", "a", **where), 0.0)
    assert found.current == "c" and found.copy("high").url == url


def test_a_clone_of_nothing_is_left_out_and_clones_are_bounded() -> None:
    found = pathways("b")
    found.steer(steer("c", HOST="c"), 0.0)
    assert found.names == ("b",)
    found = pathways("a")
    for number in range(3 * PATHWAYS_MAX):
        clone = {"ID": f"c{number}", "BASE-ID": "a", "URI-REPLACEMENT": {"HOST": "c"}}
        text = {"VERSION": 1, "PATHWAY-PRIORITY": ["a"], "PATHWAY-CLONES": [clone]}
        found.steer(read_manifest(json.dumps(text)), 0.0)
    assert len(found.names) == PATHWAYS_MAX


def test_a_pathway_without_the_rung_has_the_next_below() -> None:
    variants = (
        Variant("a/h.m3u8", 400, pathway_id="a", stable_id="high"),
        Variant("b/m.m3u8", 200, pathway_id="b", stable_id="mid"),
        Variant("b/l.m3u8", 100, pathway_id="b", stable_id="low"),
    )
    found = Pathways(MultivariantPlaylist(variants), URL)
    found.fail(0.0)
    assert found.copy("high").key == "mid"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "[]",
        "[" * 100_000,
        '{"VERSION": 2, "TTL": 5}',
        '{"VERSION": 1, "TTL": 0}',
        '{"VERSION": 1, "TTL": true}',
        '{"VERSION": 1, "TTL": "5"}',
        '{"VERSION": 1, "TTL": NaN}',
        '{"VERSION": 1, "PATHWAY-PRIORITY": "a"}',
    ],
)
def test_what_is_no_manifest(text: str) -> None:
    with pytest.raises(RemoteError):
        read_manifest(text)


def test_what_is_odd_in_a_manifest_is_left_out() -> None:
    values = {
        "VERSION": 1,
        "PATHWAY-PRIORITY": [1, "a", None],
        "RELOAD-URI": 7,
        "PATHWAY-CLONES": [1, {"ID": "c"}, {"ID": "d", "BASE-ID": "a", "URI-REPLACEMENT": {}}],
    }
    found = read_manifest(json.dumps(values))
    assert (found.ttl_s, found.priority, found.reload_uri) == (300.0, ("a",), None)
    assert [clone.pathway for clone in found.clones] == ["d"]


def test_the_request() -> None:
    assert steering_request("http://m/steer/demo", "a", 1e6) == (
        'http://m/steer/demo?_HLS_pathway="a"&_HLS_throughput=1000000'
    )
    assert steering_request("http://m/s?x=1", "a", 0.4).startswith("http://m/s?x=1&_HLS_pathway=")
