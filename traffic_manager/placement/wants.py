"""Which channels origins want encoded by workers. Pure.

An origin says so in each report; a channel that it does not name any more is not wanted any more.
One that is silent may only be restarting: its channels stay wanted for `origin_silent_s`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from surgecast.control.messages import ServerReport, TranscodeWanted
from traffic_manager.placement.settings import PlacementSettings


@dataclass(frozen=True, slots=True)
class Want:
    """One channel, as its origin said last."""

    said: TranscodeWanted
    origin: str
    url: str
    heard_at_s: float

    @property
    def channel(self) -> str:
        return self.said.channel


class Wants:
    """By channel. Of two origins that want one channel, the first has it."""

    def __init__(self, settings: PlacementSettings) -> None:
        self.settings = settings
        self._wants: dict[str, Want] = {}

    def __iter__(self) -> Iterator[Want]:
        return iter(list(self._wants.values()))

    def __len__(self) -> int:
        return len(self._wants)

    def get(self, channel: str) -> Want | None:
        return self._wants.get(channel)

    def report(self, report: ServerReport, now_s: float) -> list[str]:
        """Take what an origin says; sentences about what of it is not taken."""
        if report.role != "origin":
            return []
        problems = []
        named = {said.channel for said in report.transcodes}
        for want in self:
            if want.origin == report.server and want.channel not in named:
                del self._wants[want.channel]
        for said in report.transcodes:
            known = self._wants.get(said.channel)
            if known is not None and known.origin != report.server:
                problems.append(
                    f"{report.server} wants {said.channel} encoded, and {known.origin} has it; "
                    "channels of origins that use workers must differ"
                )
            elif known is None and len(self._wants) >= self.settings.tasks_max:
                problems.append(
                    f"{said.channel} of {report.server} is left out: {len(self._wants)} channels "
                    f"are wanted; allowed: {self.settings.tasks_max} (placement.tasks_max)"
                )
            else:
                self._wants[said.channel] = Want(said, report.server, report.url, now_s)
        return problems

    def forget_silent(self, now_s: float) -> list[Want]:
        """Those of origins that have been silent for too long, taken out."""
        limit_s = self.settings.origin_silent_s
        gone = [want for want in self if now_s - want.heard_at_s > limit_s]
        for want in gone:
            del self._wants[want.channel]
        return gone
