"""What a real player saw of a stream, in the same terms for every player."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Size:
    """A picture size a player switched to."""

    width: int
    height: int
    at_s: float
    """On the player's own timeline, seconds."""

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(slots=True)
class Sighting:
    """The result of one `watch`. None where a player does not tell."""

    player: str
    frames: int = 0
    """Frames that reached the output, those it dropped as too late included."""
    parts: int | None = None
    """Low-latency parts it took, where it tells."""
    dropped: int | None = None
    stalls: int | None = None
    """Interruptions after the first picture."""
    sizes: list[Size] = field(default_factory=list)
    """One entry for every change, the first size included."""
    errors: list[str] = field(default_factory=list)
    status: int | None = None
    """Exit status of the process; None in a browser."""
    media_s: float | None = None
    """Seconds of the stream that were played: frames should be this times the frame rate."""
    latency_s: float | None = None
    """Behind live at the end."""
    latency_median_s: float | None = None
    latency_p95_s: float | None = None
    """Over the whole viewing."""

    @property
    def size_names(self) -> list[str]:
        return [str(size) for size in self.sizes]

    def saw(self, width: int, height: int, at_s: float) -> None:
        """Note the size of a picture; repeated sizes count once."""
        size = Size(width, height, round(at_s, 3))
        if not self.sizes or str(self.sizes[-1]) != str(size):
            self.sizes.append(size)


_HOLE_FRAMES = 1.5


def holes(times_s: Sequence[float]) -> list[str]:
    """Where the presentation times of successive pictures are not one frame apart."""
    steps = [after - before for before, after in pairwise(times_s)]
    if not steps:
        return []
    frame_s = sorted(steps)[len(steps) // 2]
    return [
        f"picture {step:.3f} s after the one at {time:.3f} s"
        for time, step in zip(times_s, steps, strict=False)
        if not 0 < step <= frame_s * _HOLE_FRAMES
    ]


class Player(Protocol):
    """One driver. `name` is what tables and test ids print."""

    name: str

    def installed(self) -> str | None:
        """None when the player can run here, else why not."""

    async def watch(self, url: str, seconds: float) -> Sighting:
        """Play `url` for `seconds` of media. Never raises for what a stream does to a player."""
