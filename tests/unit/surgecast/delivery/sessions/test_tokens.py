"""Session tokens: only who holds the key makes one, and each is good for its channel and time."""

import pytest

from surgecast.delivery.sessions.tokens import (
    AccessSettings,
    Claims,
    Keyring,
    KeySettings,
    TokenRefused,
)

NOW_UTC = 1_800_000_000.0
CLAIMS = Claims("f00d", "demo", "eu-west", "relay-1", NOW_UTC + 60)


def keyring(*ids: str) -> Keyring:
    keys = tuple(KeySettings(id=i, secret=f"{i} is a secret of some length") for i in ids)
    return Keyring(AccessSettings(keys=keys, skew_s=30))


def test_what_was_minted_is_read():
    ring = keyring("a")
    assert ring.read(ring.mint(CLAIMS), "demo", NOW_UTC) == CLAIMS


def test_a_new_key_signs_and_the_old_one_still_verifies():
    old, both, new = keyring("a"), keyring("b", "a"), keyring("b")
    assert both.read(old.mint(CLAIMS), "demo", NOW_UTC) == CLAIMS
    assert new.read(both.mint(CLAIMS), "demo", NOW_UTC) == CLAIMS
    with pytest.raises(TokenRefused) as refused:
        new.read(old.mint(CLAIMS), "demo", NOW_UTC)
    assert refused.value.reason == "unknown_key"


def test_every_changed_character_is_noticed():
    ring = keyring("a")
    token = ring.mint(CLAIMS)
    for place, found in enumerate(token):
        changed = token[:place] + ("B" if found == "A" else "A") + token[place + 1 :]
        with pytest.raises(TokenRefused):
            ring.read(changed, "demo", NOW_UTC)


@pytest.mark.parametrize(
    ("channel", "now_utc", "reason"),
    [
        ("demo", NOW_UTC + 91, "expired"),
        ("other", NOW_UTC, "foreign"),
    ],
)
def test_a_token_is_good_for_its_channel_and_its_time(channel, now_utc, reason):
    ring = keyring("a")
    with pytest.raises(TokenRefused) as refused:
        ring.read(ring.mint(CLAIMS), channel, now_utc)
    assert refused.value.reason == reason


def test_a_clock_that_is_behind_by_the_skew_allowed_refuses_nobody():
    ring = keyring("a")
    assert ring.read(ring.mint(CLAIMS), "demo", NOW_UTC + 89) == CLAIMS


def test_without_keys_tokens_are_taken_unsigned_and_with_keys_they_are_not():
    unsigned = keyring().mint(CLAIMS)
    assert keyring().read(unsigned, "demo", NOW_UTC) == CLAIMS
    with pytest.raises(TokenRefused) as refused:
        keyring("a").read(unsigned, "demo", NOW_UTC)
    assert refused.value.reason == "unknown_key"


@pytest.mark.parametrize(
    "token", ["", "..", "0.x", "0.!!!.", "0.W10.", "0." + "W" * 900 + ".", "é.é.é"]
)
def test_what_is_no_token_is_refused_and_nothing_else_happens(token):
    with pytest.raises(TokenRefused):
        keyring().read(token, "demo", NOW_UTC)
