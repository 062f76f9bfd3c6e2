"""What is pushed to a channel: taken by lease and name, put on show, refused without a trace."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from origin.ingest import Ingest, LeaseOver, NotAnnounced, Unfit
from origin.settings import ChannelSettings
from segmenter.encoder import CutSet
from segmenter.ladder import Decided
from segmenter.low_latency_timeline import LowLatencyMemory
from segmenter.remote.protocol import Announcement, ladder_message
from segmenter.remote.wire import outgoing_part, outgoing_set
from segmenter.timeline import Memory
from surgecast.clock import ManualClock
from surgecast.control.messages import Signature
from surgecast.control.transcoding import Role
from surgecast.errors import RemoteError
from surgecast.media.part import PartSet
from surgecast.media.segment import SegmentSet
from tests.support.cut_sets import DECIDED, LADDER, cut_parts, cut_sets, without

SETTINGS = ChannelSettings.model_validate(
    {
        "encoder": "worker",
        "source": {"kind": "test", "width": 640, "height": 360},
        "ladder": {
            "rungs": [
                {"name": "high", "height": 720, "video_bps": 800_000},
                {"name": "low", "height": 180, "video_bps": 200_000},
            ],
        },
        "low_latency": {"enabled": True},
        "worker": {"standby": True, "priority": 7},
    }
)
SETS = cut_sets(4)


class Sink:
    def __init__(self) -> None:
        self.segments: list[SegmentSet] = []
        self.parts: list[PartSet] = []

    def open(self, decided: Decided) -> None: ...

    def publish(self, segments: SegmentSet) -> None:
        self.segments.append(segments)

    def publish_part(self, parts: PartSet) -> None:
        self.parts.append(parts)


class Show:
    """An open channel, its sink and clock."""

    def __init__(self, decided: Decided = DECIDED) -> None:
        self.clock, self.sink, self.news = ManualClock(), Sink(), 0
        self.ingest = Ingest(
            "a",
            SETTINGS,
            ffmpeg="none",
            sink=self.sink,
            memory=Memory(),
            low_latency_memory=LowLatencyMemory(),
            decided=decided,
            clock=self.clock,
            news=self._tell,
        )
        self.ingest.open(decided)

    def _tell(self) -> None:
        self.news += 1

    async def announce(
        self,
        lease: int,
        role: Role = "primary",
        feeding: bool = True,
        signature: Signature | None = None,
    ) -> None:
        told = Announcement(
            role=role, ladder=ladder_message(LADDER), feeding=feeding, signature=signature
        )
        state = await self.ingest.announce(lease, told)
        assert state.announced

    def push(self, lease: int, sequence: int, cut: CutSet | None = None) -> int:
        """A set two seconds after the last; the sequence wanted next."""
        self.clock.advance(2.0)
        body = outgoing_set(1, cut or SETS[sequence % len(SETS)]).encode(0.0)
        return self.ingest.take_set(lease, sequence, body).next

    def push_parts(self, lease: int, first: int, count: int = 10, mark: str = "") -> None:
        """Parts of one segment from place `first` on, each under its place as sequence."""
        for cut in cut_parts(60, mark=mark)[first : first + count]:
            self.clock.advance(0.2)
            body = outgoing_part(1, cut, relieves=False).encode(0.0)
            self.ingest.take_part(lease, cut.index, body)

    @property
    def shown(self) -> list[tuple[int, bool]]:
        """Number and discontinuity of each segment on show."""
        return [(s.msn, s.discontinuity) for s in self.sink.segments]


async def test_sets_of_one_lease_follow_one_another() -> None:
    show = Show()
    await show.announce(5)
    assert [show.push(5, n) for n in range(3)] == [1, 2, 3]
    assert show.shown == [(0, False), (1, False), (2, False)]
    assert show.ingest.state == "live"


async def test_the_same_set_again_is_answered_and_nothing_happens() -> None:
    show = Show()
    await show.announce(5)
    show.push(5, 0)
    assert show.push(5, 0) == 1
    assert len(show.shown) == 1
    assert show.ingest.outcomes["set", "known"] == 1


async def test_a_newer_lease_is_one_discontinuity_and_the_older_is_over() -> None:
    show = Show()
    await show.announce(5)
    show.push(5, 0)
    await show.announce(6)
    show.push(5, 1)
    show.push(6, 0)
    with pytest.raises(LeaseOver, match="lease 5 of channel a is over"):
        show.push(5, 2)
    show.push(6, 1)
    assert show.shown == [(0, False), (1, False), (2, True), (3, False)]


async def test_what_was_not_announced_is_not_taken() -> None:
    show = Show()
    with pytest.raises(NotAnnounced):
        show.push(5, 0)
    assert show.shown == []


async def test_what_cannot_be_used_leaves_no_trace() -> None:
    """The same name is still free for what is right."""
    show = Show()
    await show.announce(5)
    with pytest.raises(RemoteError):
        show.ingest.take_set(5, 0, outgoing_set(1, SETS[0]).encode(0.0)[:-7])
    assert show.push(5, 0) == 1
    assert show.shown == [(0, False)]


async def test_another_ladder_or_codec_does_not_fit() -> None:
    show = Show()
    message = ladder_message(LADDER)
    other = message.model_copy(update={"segment_frames": 100})
    with pytest.raises(Unfit, match="segment_frames: 100; the channel has 50"):
        await show.ingest.announce(5, Announcement(ladder=other))
    with pytest.raises(Unfit, match=r"codec: avc1\.640028"):
        await show.ingest.announce(5, Announcement(ladder=message, codec="avc1.640028"))
    faster = message.model_copy(update={"preset": "ultrafast"})
    assert (await show.ingest.announce(5, Announcement(ladder=faster))).announced


async def test_media_of_another_codec_than_viewers_were_told_is_refused() -> None:
    show = Show(Decided(LADDER, "avc1.4d401e"))
    await show.announce(5)
    with pytest.raises(Unfit, match=r"codec of rung high: avc1\.4d401f; .* has avc1\.4d401e"):
        show.push(5, 0)
    assert show.shown == []


async def test_an_older_lease_whose_parts_are_still_taken_does_not_come_back() -> None:
    """It is let go a little later than its segments are."""
    show = Show()
    await show.announce(5)
    show.push(5, 0)
    show.push_parts(5, 0, 4)
    await show.announce(6)
    show.push(6, 0)
    show.push_parts(5, 4, 1)
    show.push(5, 1)
    assert show.shown == [(0, False), (1, True)]
    assert [part.index for part in show.sink.parts] == [0, 1, 2, 3, 4]


async def test_a_rung_that_was_shed_is_the_next_lower_one() -> None:
    show = Show()
    await show.announce(5)
    show.push(5, 0, without(SETS[0], "high"))
    payloads = show.sink.segments[0].payloads
    assert payloads["high"] == payloads["low"]
    assert show.ingest.status.encode.shed == ("high",)


async def test_a_backup_is_put_aside_until_the_primary_is_silent() -> None:
    show = Show()
    await show.announce(5)
    await show.announce(6, "backup")
    show.push(5, 0)
    show.push(6, 0)
    assert len(show.shown) == 1
    show.push(6, 1)  # four seconds after the primary's last
    assert show.shown[-1] == (1, True)
    assert show.ingest.warning == "pushed by its backup, lease 6"
    show.push(5, 1)
    assert len(show.shown) == 2, "a primary that is back must stay"


async def test_parts_change_over_with_the_first_of_a_segment() -> None:
    """Once the newer lease's segments are on air; its parts from before are the past."""
    show = Show()
    await show.announce(5)
    show.push(5, 0)
    show.push_parts(5, 0, 4, mark="old")
    await show.announce(6)
    show.push_parts(6, 0, 10, mark="new")
    assert len(show.sink.parts) == 4, "not before it has a whole set"
    show.push(6, 0)
    assert len(show.sink.parts) == 4, "a whole segment of parts is the past"
    show.ingest.take_part(6, 10, outgoing_part(1, cut_parts(60)[10], relieves=False).encode(0))
    assert show.sink.parts[-1].discontinuity and show.sink.parts[-1].index == 0


async def test_parts_that_came_before_their_lease_was_taken_are_not_lost() -> None:
    show = Show()
    await show.announce(5)
    show.push(5, 0)
    show.push_parts(5, 0, 4)
    await show.announce(6)
    show.push_parts(6, 0, 2)
    show.push(6, 0)
    assert [part.index for part in show.sink.parts] == [0, 1, 2, 3, 0, 1]


async def test_parts_of_nobody_are_replaced_at_once() -> None:
    """Viewers of parts wait: a newer lease need not have a whole set."""
    show = Show()
    await show.announce(5)
    show.push_parts(5, 0, 4)
    show.clock.advance(1.5)
    await show.announce(6)
    show.push_parts(6, 0, 1)
    assert len(show.sink.parts) == 5


async def test_the_manager_is_told_what_is_wanted_whatever_a_worker_does_instead() -> None:
    """Else an order for a faster preset would be taken back as soon as it was carried out."""
    show = Show()
    wanted = show.ingest.wanted().signature
    assert wanted is not None
    faster = wanted.model_copy(update={"preset": "ultrafast", "width": 1280})
    await show.announce(5, signature=faster)
    told = show.ingest.wanted().signature
    assert told is not None
    assert (told.preset, told.width) == (wanted.preset, 1280)


async def test_the_manager_is_told_who_feeds_and_for_how_long_nobody_did() -> None:
    show = Show()
    wanted = show.ingest.wanted()
    assert (wanted.lease, wanted.silent_s, wanted.priority, wanted.backup) == (0, None, 7, True)
    assert wanted.signature is not None and wanted.signature.width == 640
    await show.announce(5)
    show.push(5, 0)
    show.clock.advance(3.0)
    wanted = show.ingest.wanted()
    assert (wanted.lease, wanted.silent_s, wanted.gone_s) == (5, 3.0, None)


@asynccontextmanager
async def held(
    show: Show, lease: int, closing: asyncio.Event | None = None
) -> AsyncIterator[tuple[asyncio.Task[object], asyncio.Event]]:
    lost, closing = asyncio.Event(), closing or asyncio.Event()
    task: asyncio.Task[object] = asyncio.create_task(show.ingest.hold(lease, 60.0, lost, closing))
    await asyncio.sleep(0)
    try:
        yield task, lost
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_an_origin_that_ends_keeps_nobody_waiting_and_takes_nobody_for_lost() -> None:
    show, closing = Show(), asyncio.Event()
    await show.announce(5)
    show.push(5, 0)
    before = show.news
    async with held(show, 5, closing) as (task, _):
        closing.set()
        await asyncio.wait_for(task, 10)
    assert show.news == before and show.ingest.wanted().gone_s is None


async def test_a_lost_connection_is_news() -> None:
    show = Show()
    await show.announce(5)
    show.push(5, 0)
    before = show.news
    async with held(show, 5) as (task, lost):
        lost.set()
        await asyncio.wait_for(task, 10)
    assert show.news == before + 1
    show.clock.advance(1.0)
    assert show.ingest.wanted().gone_s == 1.0
    assert show.ingest.status.last_error == "the worker of lease 5 is gone"
    await show.announce(5)
    assert show.ingest.wanted().gone_s is None


async def test_who_waits_hears_at_once_that_the_lease_is_over() -> None:
    show = Show()
    await show.announce(5)
    show.push(5, 0)
    async with held(show, 5) as (task, _):
        await show.announce(6)
        show.push(6, 0)
        with pytest.raises(LeaseOver):
            await asyncio.wait_for(task, 10)


async def test_slates_wait_for_a_worker_that_died_but_not_for_a_source_that_ended() -> None:
    show = Show()
    await show.announce(5)
    show.push(5, 0)
    assert show.ingest.expects_media
    await show.announce(6)
    assert show.ingest.expects_media, "who comes to replace it has said nothing yet"
    await show.announce(5, feeding=False)
    assert not show.ingest.expects_media
    assert show.ingest.status.last_error == "the worker of lease 5 has no source"


async def test_a_primary_without_a_source_gives_way_to_its_backup() -> None:
    show = Show()
    await show.announce(5)
    await show.announce(6, "backup")
    show.push(5, 0)
    await show.announce(5, feeding=False)
    show.push(6, 0)
    assert show.ingest.leases.on_air is show.ingest.leases.find(6)
