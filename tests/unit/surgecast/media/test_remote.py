"""What stands in a set for bytes that another server has."""

import pytest

from surgecast.errors import LocalError
from surgecast.media.remote import Remote, bytes_held, digest_of, held, joined, remote_of


def test_a_remote_payload_is_as_long_as_the_payload_and_equal_where_that_is_equal():
    one, same, other = remote_of(b"abc"), remote_of(b"abc"), remote_of(b"abd")
    assert len(one) == 3 and one == same and hash(one) == hash(same) and one != other
    assert remote_of(one) is one


def test_only_the_bytes_announced_match():
    remote = remote_of(b"abc")
    assert remote.matches(b"abc") and remote.matches(memoryview(b"abc"))
    assert not remote.matches(b"abx") and not remote.matches(b"ab") and not remote.matches(b"abcd")


def test_pieces_in_a_row_are_known_by_their_digests():
    whole = joined([remote_of(b"ab"), remote_of(b"cde")])
    assert len(whole) == 5 and whole.matches(b"abcde")
    assert not whole.matches(b"abcdx") and not whole.matches(b"xbcde")
    assert joined([remote_of(b"abc"), remote_of(b"de")]) != whole


def test_bytes_that_are_elsewhere_cannot_be_used_as_if_they_were_here():
    assert held(b"abc") == b"abc"
    with pytest.raises(LocalError, match="another server"):
        held(Remote(3, digest_of(b"abc")))
    assert bytes_held(b"abc") == 3
    assert bytes_held(memoryview(b"abc")) == bytes_held(remote_of(b"abc")) == 0
