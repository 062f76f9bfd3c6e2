"""A viewer of a low-latency session sees one timeline, whatever rungs are asked for and when."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from surgecast.clock import ManualClock
from surgecast.delivery.channels import Stage
from surgecast.delivery.sessions.shows import DELTA
from surgecast.hls.delta import merge
from surgecast.hls.model import MediaPlaylist
from surgecast.hls.parse import parse_media
from tests.support.parts import PARTS, Encoder, low_latency_window
from tests.support.shows import RUNGS, staged

steps = st.lists(
    st.one_of(
        st.tuples(st.just("parts"), st.integers(1, 12)),
        st.tuples(st.just("ask"), st.sampled_from(RUNGS)),
        st.tuples(st.just("dies"), st.booleans()),
        st.just(("reload", None)),
    ),
    max_size=40,
)


@dataclass
class Viewer:
    """Checks each version of its playlist against all it saw before."""

    stage: Stage
    lines: dict[tuple[int, int | None], str] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    """By what an encoder's next part is called in any rung: the name that was hinted."""
    known: MediaPlaylist | None = None

    def reload(self) -> None:
        assert self.stage.low_latency is not None
        table = self.stage.low_latency.sessions
        text = table.playlist("a")
        assert text is not None
        shown = parse_media(text.body.decode())
        entries = [*shown.segments, *([shown.open_segment] if shown.open_segment else [])]
        for msn, entry in enumerate(entries, shown.media_sequence):
            uris = {None: getattr(entry, "uri", None)}
            uris |= {index: part.uri for index, part in enumerate(entry.parts)}
            rungs = {uri.split("/")[2] for uri in uris.values() if uri}
            assert len(rungs) == 1, "a segment has one rung"
            for index, uri in uris.items():
                if uri:
                    # R1; and R43, whatever was asked for after a part was hinted.
                    assert self.lines.setdefault((msn, index), uri) == uri
                    assert self.hints.get(uri.rpartition("/")[2], uri) == uri
                    name = uri.removeprefix("../../")
                    assert self.stage.low_latency.window.payload(f"ll/{name}")
        hint = shown.preload_hints[0].uri
        self.hints.setdefault(hint.rpartition("/")[2], hint)
        assert len({entry.map_uri for entry in entries}) <= 1 + sum(
            entry.discontinuity for entry in entries[1:]
        )
        self._check_delta(shown)
        self.known = shown

    def _check_delta(self, shown: MediaPlaylist) -> None:
        assert self.stage.low_latency is not None
        text = self.stage.low_latency.sessions.playlist("a", DELTA)
        assert text is not None
        if self.known is not None:
            merged = merge(self.known, parse_media(text.body.decode()))
            assert merged.segments == shown.segments and merged.open_segment == shown.open_segment


@settings(max_examples=60, deadline=None)
@given(steps)
def test_rules_hold_and_wishes_are_obeyed(happens: list[tuple[str, object]]) -> None:
    window = low_latency_window()
    _, stage = staged(ManualClock(), low_latency=window)
    encoder = Encoder(one_init=True)
    for _ in range(4 * PARTS):
        stage.publish_part(encoder.part())
    assert stage.low_latency is not None
    stage.low_latency.create_session("a")
    viewer = Viewer(stage)
    viewer.reload()
    wishes: dict[int, str] = {}
    for what, value in happens:
        if what == "ask":
            wishes[stage.set_rung("a", str(value))] = str(value)
        elif what == "dies":
            encoder.die(new_init=bool(value))
        elif what == "parts":
            for _ in range(int(str(value))):
                stage.publish_part(encoder.part())
        else:
            viewer.reload()
    viewer.reload()
    for (msn, _), uri in viewer.lines.items():
        wished = [rung for from_msn, rung in wishes.items() if from_msn <= msn]
        assert uri.split("/")[2] == (wished[-1] if wished else RUNGS[0])
