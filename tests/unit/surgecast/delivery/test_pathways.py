"""Where else a session can go, as its multivariant playlist says it."""

import pytest

from surgecast.delivery.neighbours import Neighbour, Neighbours
from surgecast.delivery.pathways import Place, alternatives, multivariant
from surgecast.hls.model import Variant


def neighbour(server: str, region: str = "b", *, takes: bool = True) -> Neighbour:
    url = f"http://{server}.example"
    return Neighbour(server, url, region, server.startswith("origin"), takes)


def names(known: Neighbours, others_max: int = 2) -> list[str]:
    return [other.server for other in alternatives("session", known, others_max)]


def test_servers_of_the_region_come_first_and_an_origin_is_always_named() -> None:
    """Steering makes clones of the origin's pathway, so every playlist must have it."""
    others = (*(neighbour(f"b-{i}") for i in range(5)), neighbour("origin", "a"))
    found = names(Neighbours(neighbour("b-9"), others))
    assert len(found) == 2 and found[0].startswith("b-") and found[1] == "origin"


def test_an_origin_does_not_stand_in_for_itself() -> None:
    others = (neighbour("a-1", "a"), neighbour("a-2", "a"), neighbour("origin-2", "c"))
    assert set(names(Neighbours(neighbour("origin-1", "a"), others))) == {"a-1", "a-2"}


def test_an_origin_that_takes_nobody_is_not_named() -> None:
    others = (neighbour("b-1"), neighbour("b-2"), neighbour("origin", takes=False))
    assert set(names(Neighbours(neighbour("b-9"), others))) == {"b-1", "b-2"}
    assert names(Neighbours(neighbour("b-9"), others), others_max=0) == []


@pytest.mark.parametrize(
    ("folder", "uri", "stable_id"),
    [
        ("s/", "720p/media.m3u8", "720p"),
        ("s/", "media.m3u8", "adaptive"),
        ("s/", "ll/720p/media.m3u8", "ll-720p"),
        ("ll/s/", "media.m3u8", "ll-adaptive"),
    ],
)
def test_a_name_means_one_playlist(folder: str, uri: str, stable_id: str) -> None:
    """R54; and steering spells URLs out by it without knowing what is played."""
    known = Neighbours(neighbour("b-1"), (neighbour("origin", "a"),), "http://m.example/steer")
    place = Place("demo", folder, "session", "token", from_entry=False)
    found = multivariant([Variant(uri, 1000)], place, known, others_max=2)
    assert [(v.pathway_id, v.stable_id) for v in found.variants] == [
        *(("b-1", stable_id), ("origin", stable_id)),
    ]
    assert found.variants[1].uri == f"http://origin.example/live/demo/{folder}token/{uri}"
    assert found.steering is not None
    assert found.steering.server_uri == "http://m.example/steer/demo?session=token"
