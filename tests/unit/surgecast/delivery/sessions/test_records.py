"""What one server hands to another is read with care, and comes back as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgecast.delivery.sessions.histories import Change, Creation, Record, Switch
from surgecast.delivery.sessions.records import Handover, handover_of, record_of, values_of
from surgecast.errors import RemoteError

names = st.text(min_size=1, max_size=8)
numbers = st.integers(0, 10**9)
records = st.one_of(
    st.builds(Creation, st.just("v1"), names, names, numbers, numbers),
    st.builds(
        Switch, st.just("v1"), names, st.builds(Change, numbers, names, tagged=st.booleans())
    ),
)
RIGHT: dict[str, Any] = {
    "session": "v1",
    "region": "north",
    "owner": "a",
    "life_s": 10.0,
    "plays": True,
    "taken": False,
    "books": {"index": [{"session": "v1", "requested": "720p", "rung": "720p", "tags_gone": 0}]},
}


@given(records)
def test_a_record_comes_back(record: Record) -> None:
    assert record_of(json.loads(json.dumps(values_of(record)))) == record


@given(st.dictionaries(names, st.lists(records, max_size=3), max_size=3), st.booleans())
def test_a_session_comes_back(books: dict[str, list[Record]], plays: bool) -> None:
    handed = Handover("v1", "north", "a", 10.0, plays, not plays, books)
    assert handover_of(json.loads(json.dumps(handed.to_values()))) == handed


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        "v1",
        {},
        RIGHT | {"books": []},
        RIGHT | {"books": {"index": 1}},
        RIGHT | {"books": {"index": [{}]}},
        RIGHT | {"books": {"index": [{**RIGHT["books"]["index"][0], "session": "v2"}]}},
        RIGHT | {"life_s": "long"},
        RIGHT | {"life_s": float("inf")},
        RIGHT | {"life_s": float("nan")},
    ],
)
def test_what_cannot_be_read_is_refused(values: Any) -> None:
    assert handover_of(RIGHT).session == "v1"
    with pytest.raises(RemoteError):
        handover_of(values)
