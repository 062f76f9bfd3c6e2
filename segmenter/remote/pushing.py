"""Takes what is cut, and has it sent: the other side of the sender is the channel's origin."""

from collections.abc import Callable
from dataclasses import replace

from segmenter.encoder import CutSet
from segmenter.ladder import Decided, Ladder
from segmenter.part_grid import PartGrid, part_grid
from segmenter.part_matcher import CutPartSet
from segmenter.remote.protocol import Announcement, LeaseState, decided_of, ladder_message
from segmenter.remote.sender import Sender
from segmenter.remote.wire import outgoing_part, outgoing_set
from segmenter.settings import SegmentSettings
from segmenter.slate_pace import Heard
from surgecast.clock import Clock
from surgecast.control.messages import Signature
from surgecast.control.transcoding import Role
from surgecast.errors import RemoteError


class Pusher:
    """A `CutTaker` for a channel that is put on show elsewhere."""

    def __init__(
        self,
        settings: SegmentSettings,
        sender: Sender,
        *,
        role: Role,
        clock: Clock,
        signature: Callable[[], Signature | None],
    ) -> None:
        self.published_at: float | None = None
        self.decided: Decided | None = None
        self.newest: CutSet | None = None
        self._settings = settings
        self._sender = sender
        self._role: Role = role
        self._clock = clock
        self._signature = signature
        self._relieving: int | None = None

    @property
    def shows_slate(self) -> bool:
        """Never: it has none."""
        return False

    async def begin(self) -> Decided | None:
        """What the origin has decided already, and is told that we keep to."""
        decided = decided_of(await self._sender.begin())
        return None if decided is None else await self._announce(decided.ladder)

    async def decide(self, ladder: Ladder) -> Decided:
        """The origin has the last word: another worker may have been first."""
        return await self._announce(ladder)

    async def _announce(self, ladder: Ladder) -> Decided:
        state = await self._sender.announce(self._announcement(ladder))
        if not state.announced and (other := decided_of(state)) is not None:
            state = await self._sender.announce(self._announcement(other.ladder))
        self.decided = _checked(state)
        return self.decided

    def _announcement(self, ladder: Ladder) -> Announcement:
        return Announcement(
            role=self._role,
            ladder=ladder_message(replace(ladder, preset=self._settings.ladder.preset)),
            signature=self._signature(),
        )

    def publish_cut(self, run: int, cut: CutSet) -> None:
        self.published_at, self.newest = self._clock.now(), cut
        self._sender.put("set", outgoing_set(run, cut))

    def publish_part(self, run: int, cut: CutPartSet) -> None:
        relieves = run == self._relieving
        self._relieving = None if relieves else self._relieving
        self._sender.put("part", outgoing_part(run, cut, relieves=relieves))

    def part_grid(self, ladder: Ladder) -> PartGrid | None:
        settings = self._settings.low_latency
        return part_grid(ladder, settings.part_duration_s) if settings.enabled else None

    def relieve(self, run: int) -> None:
        self._relieving = run

    def watch(self, heard: Heard | None) -> None:
        self._sender.say(feeding=heard is not None, signature=self._signature())

    def become(self, role: Role) -> None:
        """Another role from now on."""
        self._role = role
        self._sender.say(role=role)


def _checked(state: LeaseState) -> Decided:
    decided = decided_of(state)
    if not state.announced or decided is None:
        raise RemoteError(state.error or "the origin takes no media of this lease")
    return decided
