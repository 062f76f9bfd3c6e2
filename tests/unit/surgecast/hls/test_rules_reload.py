"""What a server answers to directives: right answers have no findings, wrong ones theirs."""

from dataclasses import replace

import pytest

from surgecast.hls.observation import Finding, Kind, MediaView, Response
from surgecast.hls.rules import view_of
from surgecast.hls.rules_reload import (
    Reload,
    check_blocking,
    check_delta,
    check_gone,
    check_hinted,
    check_kept_part,
    check_refused,
    check_rollover,
)
from tests.support.ll_show import PARTS, LlShow
from tests.support.show_model import Asked, Reply

URL = "http://origin.test/live/demo/ll/180p/media.m3u8"
SHOW = LlShow()


def answer(now: float, **query: str) -> Response:
    reply = SHOW.reply(Asked("GET", "ll/180p/media.m3u8", query), now)
    assert isinstance(reply, Reply)
    return Response(
        URL, Kind.MEDIA, reply.status, reply.headers, reply.body, now, asked_at=now, began_at=now
    )


def view(now: float, **query: str) -> MediaView:
    found = view_of(answer(now, **query))
    assert isinstance(found, MediaView) and found.kind is Kind.LOW_LATENCY
    return found


BEFORE = view(0.0)
"""Segment 30 has two parts."""
NEXT = Reload(BEFORE, 30, 2, answer(0.4), view(0.4))


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


def with_status(reload: Reload, status: int, waited_s: float = 0.0) -> Reload:
    response = replace(reload.response, status=status, asked_at=0.0, began_at=waited_s)
    return replace(reload, response=response, view=reload.view if status == 200 else None)


def test_a_blocking_reload() -> None:
    """R37, R39."""
    assert check_blocking(NEXT) == []
    assert check_blocking(with_status(NEXT, 503, 6.1)) == []
    assert rules(check_blocking(replace(NEXT, view=BEFORE))) == {"R39"}
    assert rules(check_blocking(with_status(NEXT, 503, 8.0))) == {"R39"}
    assert rules(check_blocking(with_status(NEXT, 404))) == {"R39"}
    assert rules(check_blocking(with_status(NEXT, 400))) == {"R37"}


def test_what_a_playlist_has() -> None:
    assert BEFORE.has(30, 1) and not BEFORE.has(30, 2)
    assert BEFORE.has(29, None) and not BEFORE.has(30, None)
    assert BEFORE.has(29, 99)


def test_a_refusal_is_quick_and_kept_by_nobody() -> None:
    """R31, R36, R37."""
    refused = answer(0.0, _HLS_part="0")
    assert check_refused("R36", refused, "it") == []
    assert rules(check_refused("R36", replace(refused, status=200), "it")) == {"R36"}
    assert rules(check_refused("R37", replace(refused, began_at=1.5), "it")) == {"R37"}
    kept = replace(refused, headers={"cache-control": "max-age=9"})
    assert rules(check_refused("R36", kept, "it")) == {"R31"}


def test_past_the_last_part() -> None:
    """R38."""
    good = Reload(BEFORE, 29, PARTS, answer(0.0), BEFORE)
    assert check_rollover(good) == []
    assert rules(check_rollover(with_status(good, 404))) == {"R38"}
    early = Reload(view(1.2), 30, PARTS, answer(1.2), view(1.2))
    assert rules(check_rollover(early)) == {"R38"}, "segment 31 has no part yet"


def test_what_is_gone() -> None:
    """R40."""
    good = Reload(BEFORE, 3, 0, answer(0.0), BEFORE)
    assert check_gone(good, "long gone") == []
    assert rules(check_gone(with_status(good, 404), "long gone")) == {"R40"}
    assert rules(check_gone(with_status(good, 200, 1.5), "long gone")) == {"R40"}
    update = replace(good, view=view(0.0, _HLS_skip="YES"))
    assert rules(check_gone(update, "after the end")) == {"R40"}


def test_a_delta_update() -> None:
    """R47: with the playlist before it, and with that after it."""
    update = view(0.4, _HLS_skip="YES")
    assert update.playlist.skipped_segments == 4
    assert check_delta(update, BEFORE) == check_delta(update, view(0.8)) == []
    assert check_delta(BEFORE, BEFORE) == [], "a whole playlist is a right answer too"


@pytest.mark.parametrize(
    "now",
    [-20.0, 30.0],
)
def test_a_delta_update_that_skips_what_nobody_has_seen(now: float) -> None:
    """R47."""
    assert rules(check_delta(view(0.4, _HLS_skip="YES"), view(now))) == {"R47"}


def test_a_delta_update_nobody_offered() -> None:
    """R47."""
    update = view(0.4, _HLS_skip="YES")
    silent = replace(update, playlist=replace(update.playlist, server_control=None))
    assert rules(check_delta(silent, BEFORE)) == {"R47"}


def test_a_hinted_part() -> None:
    """R43, R45."""
    part = Response(URL, Kind.PART, 200, {}, b"x", 10.0, asked_at=9.0, began_at=9.99)
    assert check_hinted(part, 0.4) == []
    assert rules(check_hinted(replace(part, status=404), 0.4)) == {"R43"}
    assert rules(check_hinted(replace(part, complete=False), 0.4)) == {"R43"}
    assert rules(check_hinted(replace(part, began_at=9.7), 0.4)) == {"R45"}


def test_a_part_whose_tag_is_gone() -> None:
    """R44."""
    part = Response(URL, Kind.PART, 200, {}, b"x", 10.0)
    assert check_kept_part(part, 5.0) == []
    assert rules(check_kept_part(replace(part, status=404), 5.0)) == {"R44"}
