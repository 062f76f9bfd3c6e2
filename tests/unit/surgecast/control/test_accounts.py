"""What of a directory is told to the manager."""

from surgecast.clock import ManualClock
from surgecast.control.accounts import Accounts, media_requests
from surgecast.delivery.settings import AdaptationSettings, SessionSettings
from tests.support.shows import segment_set, staged, window


def send(directory, channel: str, rung: str, size_bytes: int) -> None:
    tally = directory.tallies.of("segment", f"{channel}/{rung}")
    tally.requests += 1
    tally.bytes_out += size_bytes


def test_what_each_channel_sends_is_told_apart():
    directory, _ = staged(ManualClock())
    news = directory.add(
        "news", window(), sessions=SessionSettings(), adaptation=AdaptationSettings()
    )
    news.publish(segment_set(0))
    accounts = Accounts(directory)
    accounts.channels(0.0)
    send(directory, "demo", "720p", 3000)
    send(directory, "demo", "360p", 1000)
    send(directory, "news", "360p", 500)
    send(directory, "gone", "360p", 500)
    told = {channel.channel: channel.egress_bps for channel in accounts.channels(2.0)}
    assert told == {"demo": 16_000.0, "news": 2_000.0}
    assert media_requests(directory) == 4


def test_a_channel_that_was_taken_off_and_comes_again_is_no_leap():
    directory, _ = staged(ManualClock())
    accounts = Accounts(directory)
    send(directory, "demo", "720p", 3000)
    accounts.channels(0.0)
    directory.remove("demo")
    assert accounts.channels(1.0) == []
    directory.add("demo", window(), sessions=SessionSettings(), adaptation=AdaptationSettings())
    assert [channel.egress_bps for channel in accounts.channels(2.0)] == [0.0]


def test_the_ladder_is_told_best_first_with_its_rates_and_the_cap():
    directory, stage = staged(ManualClock())
    told = Accounts(directory).channels(0.0)[0]
    assert [rung.rung for rung in told.ladder] == ["720p", "480p", "360p"]
    assert all(rung.peak_bps >= rung.average_bps > 0 for rung in told.ladder)
    assert (told.rung_cap, told.target_duration_s) == (None, 2.0)
    stage.set_rung_cap("480p")
    assert Accounts(directory).channels(0.0)[0].rung_cap == "480p"


def test_it_is_told_what_the_connections_of_viewers_carry():
    directory, stage = staged(ManualClock())
    assert Accounts(directory).channels(0.0)[0].usable == {}
    stage.rungs.links.note(directory.clock.now(), "east", "a", 2)
    assert Accounts(directory).channels(0.0)[0].usable == {"east": [0, 0, 1]}
