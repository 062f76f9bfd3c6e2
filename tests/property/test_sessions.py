"""A viewer of a session sees the rules kept and wishes obeyed, whatever happens around it."""

from hypothesis import given
from hypothesis import strategies as st

from surgecast.delivery.sessions.histories import Record
from surgecast.delivery.sessions.shows import SegmentShow
from surgecast.delivery.sessions.table import SessionTable
from surgecast.delivery.settings import AdaptationSettings
from surgecast.media.window import Window
from tests.property.test_window import Viewer
from tests.support.shows import RUNGS, segment_set, window

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.booleans()),
        st.tuples(st.just("ask"), st.sampled_from(RUNGS)),
        st.tuples(st.just("cap"), st.integers(0, 2)),
        st.just(("reload", None)),
        st.just(("restart", None)),
        st.just(("killed", None)),
    ),
    max_size=60,
)


def table_of(shown: Window, records: list[Record]) -> SessionTable:
    table = SessionTable(SegmentShow(shown), AdaptationSettings())
    table.restore(records)
    return table


@given(steps)
def test_rules_hold_and_wishes_are_obeyed(happens: list[tuple[str, object]]) -> None:
    shown = window(next_msn=5, discontinuity_sequence=2)
    for msn in range(5, 11):
        shown.publish(segment_set(msn))
    table = table_of(shown, [])
    records: list[Record] = [table.create("a")]
    viewer, wished, cap = Viewer(), None, 0
    for what, value in happens:
        if what == "ask":
            wished = str(value)
            table.set_rung("a", wished)
        elif what == "cap":
            cap = int(str(value))
            table.set_cap(cap)
        elif what == "publish":
            coming = segment_set(shown.next_msn, discontinuity=bool(value))
            records += table.fix(coming.msn, discontinuity=coming.discontinuity)
            shown.publish(coming)
            if wished is not None:
                expected = RUNGS[max(cap, RUNGS.index(wished))]
                assert table.get("a").rung == expected  # type: ignore[union-attr]
                wished = None
        elif what == "killed":
            # Decided and remembered, but killed before the set was listed.
            table = table_of(shown, [*records, *table.fix(shown.next_msn, discontinuity=False)])
            wished, cap = None, 0
        elif what == "restart":
            records = table_of(shown, records).records()
            table = table_of(shown, records)
            wished, cap = None, 0
        else:
            text = table.playlist("a")
            assert text is not None
            viewer.see(text.body.decode())
    text = table.playlist("a")
    assert text is not None
    viewer.see(text.body.decode())
