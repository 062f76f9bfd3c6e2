"""A mirror goes on where a feed goes on, begins anew where it must, and never goes back."""

import pytest

from surgecast.errors import RemoteError
from tests.support.mirrors import Copy, Source, playlists
from tests.support.shows import segment_set


def followed(segments: int = 12, parts: int = 60) -> tuple[Source, Copy]:
    source, copy = Source(), Copy()
    for _ in range(segments):
        source.publish()
    source.publish_parts(parts)
    copy.connect(source)
    return source, copy


def test_what_was_missed_is_published_in_order():
    source, copy = followed()
    seen: list[int] = []
    copy.stage.window.subscribe(lambda segments, _: seen.append(segments.msn))
    for _ in range(3):
        source.publish()
    copy.connect(source)
    assert seen == [12, 13, 14]


def test_a_gap_begins_anew_further_on_and_older_objects_stay():
    source, copy = followed()
    for _ in range(40):
        source.publish()
    copy.connect(source)
    window = copy.stage.window
    assert playlists(copy.stage) == playlists(source.stage)
    assert [old.msn for old in window.kept] == [old.msn for old in source.stage.window.kept]


def test_objects_kept_above_can_be_had_here_though_nothing_lists_them():
    """Rule R23 for a viewer that comes over from the origin."""
    source, copy = followed(segments=12)
    oldest = source.stage.window.kept[0]
    assert oldest.msn < copy.stage.window.first_msn
    assert oldest.object_name("720p") in copy.supply.stocked


def test_an_upstream_that_goes_back_in_time_is_refused():
    _, copy = followed()
    before = playlists(copy.stage)
    young, _ = followed(segments=4, parts=0)
    with pytest.raises(RemoteError, match="goes back in time: 4 is next there, 12 here"):
        copy.connect(young)
    assert playlists(copy.stage) == before


def test_an_upstream_a_moment_behind_is_followed_and_what_is_known_is_not_shown_again():
    """Another relay hears of a segment a little later than we did."""
    _, copy = followed(segments=8, parts=0)
    behind, _ = followed(segments=7, parts=0)
    copy.connect(behind)
    behind.publish()
    copy.follow(behind)
    assert copy.stage.window.next_msn == 8
    behind.publish()
    copy.follow(behind)
    assert copy.stage.window.next_msn == 9


@pytest.mark.parametrize("lie", [{"epoch": "e9"}, {"size_bytes": 999}, {"discontinuity": True}])
def test_an_upstream_that_has_another_segment_under_a_known_number_is_refused(lie):
    _, copy = followed(segments=6, parts=0)
    liar = Source()
    for msn in range(8):
        liar.stage.publish(segment_set(msn, **(lie if msn == 4 else {})))
    with pytest.raises(RemoteError, match="another segment 4"):
        copy.connect(liar)


def test_an_upstream_that_counts_discontinuities_otherwise_is_refused():
    """Rule R2: the number of a published segment never changes."""
    _, copy = followed(segments=6, parts=0)
    other = Source(discontinuity_sequence=3)
    for _ in range(8):
        other.publish()
    with pytest.raises(RemoteError, match="counts 3 discontinuities before segment"):
        copy.connect(other)


def test_a_line_that_skips_one_is_refused():
    source, copy = followed()
    source.publish()
    source.lines.clear()
    source.publish()
    with pytest.raises(RemoteError, match="breaks a rule: segment 13 published where 12 is next"):
        copy.follow(source)


def test_an_origin_back_from_the_dead_without_its_memory_does_not_shorten_our_list():
    """Its numbers go on, so viewers here go on with what they have."""
    _, copy = followed(segments=12, parts=0)
    listed = [old.msn for old in copy.stage.window.listed]
    back = Source(next_msn=12)
    copy.connect(back)
    assert [old.msn for old in copy.stage.window.listed] == listed
    back.publish(discontinuity=True)
    copy.follow(back)
    assert copy.stage.window.next_msn == 13


def test_another_ladder_takes_the_place_of_the_channel_where_numbers_go_on():
    _, copy = followed(segments=12, parts=0)
    old = copy.stage
    lower = Source(next_msn=12)
    lower.publish()
    first = next(iter(lower.log.snapshot())).replace(b'"width":1280', b'"width":1278')
    copy.reconnect()
    copy.read([first, *list(lower.log.snapshot())[1:]])
    assert copy.stage is not old and copy.stage.window.next_msn == 13
    assert copy.directory.get("demo") is copy.stage


def test_the_end_is_shown_and_a_show_after_it_too():
    source, copy = followed()
    source.stage.end()
    source.log.end()
    copy.follow(source)
    assert copy.stage.window.ended and playlists(copy.stage) == playlists(source.stage)
    copy.connect(source)
    again = Source(next_msn=12)
    again.publish()
    copy.connect(again)
    assert not copy.stage.window.ended and copy.stage.window.next_msn == 13


def test_rates_are_the_upstreams_again_once_its_open_segment_of_before_is_closed_here():
    """An origin that came back measures anew: its multivariant playlist is the one there is."""
    _, copy = followed(parts=20)
    assert copy.stage.low_latency.window.edge == (2, 3)
    back = Source(next_msn=12, part_msn=3)
    copy.connect(back)
    back.encoder.die()
    back.publish_parts(40)
    copy.follow(back)
    ours, theirs = copy.stage.low_latency.window, back.stage.low_latency.window
    assert ours.measured == theirs.measured


def test_another_ladder_whose_numbers_go_back_is_refused():
    """Rules R4 and R5 hold for a URL, whatever show is under it."""
    source, copy = Source(discontinuity_sequence=3), Copy()
    for _ in range(12):
        source.publish()
    copy.connect(source)
    before = playlists(copy.stage)
    for other in (Source(next_msn=20), Source(next_msn=12, discontinuity_sequence=2)):
        other.publish()
        first, *rest = other.log.snapshot()
        copy.reconnect()
        with pytest.raises(RemoteError, match="discontinuit"):
            copy.read([first.replace(b'"width":1280', b'"width":1278'), *rest])
    assert playlists(copy.stage) == before
