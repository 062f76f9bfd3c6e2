"""A relay's playlists are its origin's, byte for byte, however encoders die and feeds break."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.mirrors import Copy, Source, objects, playlists

steps = st.lists(
    st.one_of(
        st.tuples(st.just("segments"), st.integers(1, 3)),
        st.tuples(st.just("parts"), st.integers(1, 30)),
        st.tuples(st.just("die"), st.integers(0, 1)),
        st.tuples(st.just("slate"), st.just(1)),
        st.tuples(st.just("away"), st.just(0)),
        st.tuples(st.just("back"), st.just(0)),
    ),
    max_size=30,
)


@given(steps, st.integers(0, 40), st.integers(0, 150))
@settings(max_examples=40, deadline=None)
def test_a_copy_shows_what_its_source_shows(story, segments_before, parts_before):
    source, copy = Source(next_msn=7, discontinuity_sequence=2), Copy()
    for _ in range(segments_before):
        source.publish()
    source.publish_parts(parts_before)
    copy.connect(source)
    connected = True
    for what, count in story:
        _tell(source, what, count)
        if what in ("away", "back"):
            connected = what == "back"
        if connected and what == "back":
            copy.connect(source)
        elif connected:
            copy.follow(source)
        if connected:
            assert playlists(copy.stage) == playlists(source.stage)
            assert objects(copy.stage) >= _listed(source)
    if not connected:
        copy.connect(source)
    assert playlists(copy.stage) == playlists(source.stage)


def _listed(source):
    return {s.object_name("720p") for s in source.stage.window.listed}


def _tell(source, what, count):
    if what == "segments":
        for _ in range(count):
            source.publish()
    elif what == "slate":
        source.publish(slate=True)
    elif what == "parts":
        source.publish_parts(count)
    elif what == "die":
        source.encoder.die(new_init=bool(count))
        source.publish(discontinuity=True)


@given(st.integers(0, 200), st.integers(0, 200))
@settings(max_examples=20, deadline=None)
def test_one_that_was_away_for_long_shows_the_same_again(before, away):
    """However long: what was missed is published in order, or the window begins anew."""
    source, copy = Source(), Copy()
    _go_on(source, before)
    copy.connect(source)
    _go_on(source, away)
    copy.connect(source)
    assert playlists(copy.stage) == playlists(source.stage)
    _go_on(source, 30)
    copy.follow(source)
    assert playlists(copy.stage) == playlists(source.stage)


def _go_on(source, parts):
    for number in range(parts):
        if number % 8 == 0:
            source.publish(discontinuity=number % 40 == 0)
        if number % 33 == 32:
            source.encoder.die()
        source.publish_parts()


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_a_copy_of_a_copy_shows_the_same(stretches, before):
    source, copy, second = Source(), Copy(), Copy()
    _go_on(source, before)
    copy.connect(source)
    for stretch in stretches:
        _go_on(source, stretch)
        copy.follow(source)
        second.connect(copy)
        assert playlists(second.stage) == playlists(source.stage)
