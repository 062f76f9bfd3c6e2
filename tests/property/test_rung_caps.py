"""Sessions on `index.m3u8`, capped and let go: every variant keeps the rules (R1, R2, R25)."""

from hypothesis import given
from hypothesis import strategies as st

from surgecast.delivery.sessions.histories import Record
from surgecast.delivery.sessions.shows import VariantShow
from surgecast.delivery.sessions.table import SessionTable
from surgecast.delivery.settings import AdaptationSettings
from surgecast.hls.observation import Kind, MediaView
from surgecast.hls.parse import parse_media
from surgecast.hls.rules import check
from surgecast.hls.rules_playlist import check_variants
from surgecast.media.window import Window
from tests.support.shows import RUNGS, segment_set, window

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.booleans()),
        st.tuples(st.just("cap"), st.integers(0, 2)),
        st.just(("restart", False)),
    ),
    max_size=40,
)


class Viewer:
    """Reloads all variants after each segment, and checks them against the rules and each other."""

    def __init__(self) -> None:
        self.history: dict[str, list[MediaView]] = {rung: [] for rung in RUNGS}

    def look(self, table: SessionTable, now: float) -> dict[str, str]:
        """The rung that each variant lists last."""
        views = {rung: self._view(table, rung, now) for rung in RUNGS}
        for rung, view in views.items():
            assert check(view, self.history[rung]) == []
            self.history[rung].append(view)
        assert check_variants(list(views.values())) == []
        return {rung: view.playlist.segments[-1].uri.split("/")[3] for rung, view in views.items()}

    def _view(self, table: SessionTable, rung: str, now: float) -> MediaView:
        text = table.playlist("a", rung)
        assert text is not None
        url = f"http://server/live/demo/s/a/{rung}/media.m3u8"
        body = text.body.decode()
        return MediaView(url, Kind.MEDIA, now, body, parse_media(body))


def table_of(shown: Window, records: list[Record]) -> SessionTable:
    table = SessionTable(VariantShow(shown), AdaptationSettings(), "top")
    table.restore(records)
    return table


@given(steps)
def test_every_variant_keeps_the_rules_and_none_is_above_the_cap(
    happens: list[tuple[str, int]],
) -> None:
    shown = window(next_msn=5, discontinuity_sequence=2)
    for msn in range(5, 11):
        shown.publish(segment_set(msn))
    table, viewer, cap = table_of(shown, []), Viewer(), 0
    table.create("a")
    viewer.look(table, 2.0 * shown.next_msn)
    for what, value in happens:
        if what == "cap":
            cap = int(value)
            table.set_cap(cap)
        elif what == "restart":
            table = table_of(shown, table.records())
            table.set_cap(cap)
        else:
            coming = segment_set(shown.next_msn, discontinuity=bool(value))
            table.fix(coming.msn, discontinuity=coming.discontinuity)
            shown.publish(coming)
            newest = viewer.look(table, 2.0 * shown.next_msn)
            held = table.get("a")
            assert held is not None
            if held.changes[-1].msn == coming.msn and len(held.changes) > 1:
                marks = [views[-1].playlist.segments[-1] for views in viewer.history.values()]
                assert all(segment.discontinuity for segment in marks)
            assert RUNGS.index(held.rung) >= cap
            for position, rung in enumerate(RUNGS):
                assert newest[rung] == RUNGS[max(position, RUNGS.index(held.rung))]
