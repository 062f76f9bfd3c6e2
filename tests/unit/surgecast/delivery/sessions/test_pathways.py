"""The same variants on other servers, under one session; a server that is alone says nothing."""

from surgecast.delivery.sessions.neighbours import Neighbour, Neighbours
from surgecast.delivery.sessions.pathways import Place, alternatives, multivariant
from surgecast.hls.model import Variant
from surgecast.hls.observation import Kind, MultivariantView
from surgecast.hls.parse import parse_multivariant
from surgecast.hls.render import render_multivariant
from surgecast.hls.rules import check

VARIANTS = tuple(
    Variant(f"{rung}/media.m3u8", peak, peak, "avc1.4d401f,mp4a.40.2", 1280, 720, 25.0)
    for rung, peak in (("720p", 3_000_000), ("360p", 1_000_000))
)
PLACE = Place("demo", "s/", "v1", "TOKEN", from_entry=True)


def server(name: str, region: str = "north", takes: bool = True) -> Neighbour:
    return Neighbour(name, f"https://{name}.example", region, name == "a", takes)


def test_a_server_that_is_alone_says_what_it_always_said() -> None:
    made = multivariant(VARIANTS, PLACE, Neighbours(server("a")), 2)
    assert [v.uri for v in made.variants] == ["s/TOKEN/720p/media.m3u8", "s/TOKEN/360p/media.m3u8"]
    text = render_multivariant(made)
    assert "PATHWAY" not in text and "STABLE" not in text and "STEERING" not in text


def test_every_pathway_has_every_variant_under_its_name() -> None:
    """R51 and R54."""
    known = Neighbours(server("a"), (server("b"), server("c")), "https://m.example/steer")
    made = multivariant(VARIANTS, PLACE, known, 2)
    text = render_multivariant(made)
    assert parse_multivariant(text) == made
    by_pathway: dict[str | None, dict[str | None, str]] = {}
    for variant in made.variants:
        by_pathway.setdefault(variant.pathway_id, {})[variant.stable_id] = variant.uri
    assert by_pathway.keys() == {"a", "b", "c"}
    assert all(names.keys() == {"720p", "360p"} for names in by_pathway.values())
    assert by_pathway["b"]["360p"] == "https://b.example/live/demo/s/TOKEN/360p/media.m3u8"
    assert by_pathway["a"]["360p"] == "s/TOKEN/360p/media.m3u8", "its own may have any name"
    assert made.steering is not None
    assert made.steering.server_uri == "https://m.example/steer/demo?session=TOKEN"
    assert made.steering.pathway_id == "a" and made.variants[0].pathway_id == "a"
    view = MultivariantView(
        "https://a.example/live/demo/index.m3u8", Kind.MULTIVARIANT, 0.0, text, made
    )
    assert check(view, []) == []


def test_the_servers_choice_is_one_variant_on_every_pathway() -> None:
    """R27."""
    known = Neighbours(server("a"), (server("b"),))
    made = multivariant([Variant("media.m3u8", 1_000_000, codecs="avc1.4d401f")], PLACE, known, 2)
    assert [(v.pathway_id, v.stable_id) for v in made.variants] == [
        ("a", "adaptive"),
        ("b", "adaptive"),
    ]
    view = MultivariantView("https://a.example/", Kind.ADAPTIVE, 0.0, "", made)
    assert not any("expected one variant" in found.what for found in check(view, []))


def test_the_others_are_near_first_serve_and_differ_by_session() -> None:
    others = (
        *(server(f"n{number}") for number in range(6)),
        server("far", "south"),
        server("drains", takes=False),
    )
    known = Neighbours(server("a"), others)
    chosen = {tuple(n.server for n in alternatives(f"v{v}", known, 2)) for v in range(50)}
    assert len(chosen) > 10 and not any({"far", "drains"} & set(pair) for pair in chosen)
    assert [n.server for n in alternatives("v", known, 8)][-1] == "far"
    assert alternatives("v", known, 0) == []
