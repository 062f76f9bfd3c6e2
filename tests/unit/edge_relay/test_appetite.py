"""A rung is pulled ahead while somebody asks for it, and for a while after."""

from edge_relay.appetite import Appetite


def test_what_was_asked_for_here_or_answered_lately_is_wanted():
    appetite = Appetite()
    assert not appetite.lasts("demo/720p", 0, 0.0, 6.0)
    appetite.note("demo/720p", 1.0)
    assert appetite.lasts("demo/720p", 0, 7.0, 6.0) and not appetite.lasts("demo/720p", 0, 7.1, 6.0)
    assert appetite.lasts("demo/720p", 3, 9.0, 6.0)
    assert appetite.lasts("demo/720p", 3, 15.0, 6.0)
    assert not appetite.lasts("demo/720p", 3, 15.1, 6.0)
    assert not appetite.lasts("demo/480p", 0, 9.0, 6.0)


def test_a_count_that_is_not_known_changes_nothing():
    appetite = Appetite()
    assert appetite.lasts("demo/720p", 3, 0.0, 6.0)
    assert appetite.lasts("demo/720p", None, 6.0, 6.0)
    assert not appetite.lasts("demo/720p", 3, 6.1, 6.0)


def test_nothing_is_wanted_ahead_where_that_is_off():
    appetite = Appetite()
    appetite.note("demo/720p", 1.0)
    assert not appetite.lasts("demo/720p", 5, 2.0, 0.0)


def test_a_channel_that_is_off_is_forgotten():
    appetite = Appetite()
    appetite.note("demo/720p", 1.0)
    appetite.note("demo2/720p", 1.0)
    appetite.forget("demo")
    assert not appetite.lasts("demo/720p", 0, 1.0, 6.0)
    assert appetite.lasts("demo2/720p", 0, 1.0, 6.0)
