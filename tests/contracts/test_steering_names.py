"""What a server writes, the manager answers and a player reads fit together: after a move every
variant is the same playlist on another server."""

from urllib.parse import urlsplit

import pytest

from player.pathways import Pathways, read_manifest
from surgecast.delivery.sessions.neighbours import Neighbour, Neighbours
from surgecast.delivery.sessions.pathways import Place, multivariant
from surgecast.hls.model import MultivariantPlaylist, Variant
from surgecast.hls.parse import parse
from surgecast.hls.render import render_multivariant
from tests.support.rooms import fleet, report
from traffic_manager.joining.regions import RegionSettings
from traffic_manager.joining.seats import Board, Pending
from traffic_manager.joining.steering import Asker, Chart, SteeringSettings, manifest

FORMS = {
    "index": ("s/", ["high/media.m3u8", "low/media.m3u8"]),
    "adaptive": ("s/", ["media.m3u8"]),
    "ll": ("s/", ["ll/high/media.m3u8", "ll/low/media.m3u8"]),
    "ll/adaptive": ("ll/s/", ["media.m3u8"]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("relay", ["http://relay.example:8080", "http://127.0.0.1:8101"])
def test_a_move_to_a_relay_born_later_keeps_every_playlist(form: str, relay: str) -> None:
    folder, uris = FORMS[form]
    origin_url = "http://origin.example:8080"
    known = Neighbours(
        Neighbour("origin", origin_url, "a", True, True), (), "http://manager.example/steer"
    )
    place = Place("demo", folder, "s1", "tok", from_entry=False)
    variants = [Variant(uri, 1000 - i) for i, uri in enumerate(uris)]
    text = render_multivariant(multivariant(variants, place, known, others_max=2))
    playlist = parse(text)
    assert isinstance(playlist, MultivariantPlaylist)
    pathways = Pathways(playlist, f"{origin_url}/live/demo/{folder}tok/index.m3u8")
    before = [copy.url for copy in pathways.copies]

    servers = fleet(
        report("origin", "a", url=origin_url, state="draining"),
        report("relay-1", "b", url=relay),
    )
    servers.drain("origin", (), deadline_s=1.0, now_s=0.0)
    board = Board(servers, Pending(3.0), RegionSettings(names=("a", "b")).order_from)
    chart = Chart("demo", board, SteeringSettings(), 0.0)
    asker = Asker("s1", "b", pathways.current, "origin")
    course = chart.course(asker, 0.0)
    assert course is not None
    answer = manifest(chart, course, asker, "http://manager.example/steer/demo", "tok")
    assert pathways.steer(read_manifest(answer.decode()), 0.0)

    assert pathways.current == "relay-1"
    after = [copy.url for copy in pathways.copies]
    assert [urlsplit(url).path for url in after] == [urlsplit(url).path for url in before]
    assert {f"http://{urlsplit(url).netloc}" for url in after} == {relay}
