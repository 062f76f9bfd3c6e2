"""What a viewer asks for, what comes of it, and what kind of viewer it is: values alone."""

from dataclasses import dataclass

from player.failover import Wanted
from player.line import Item
from player.part_tracker import Reload
from player.pathways import SteeringManifest
from surgecast.hls.model import MediaPlaylist, MultivariantPlaylist

GIVE_UP_S = 20.0
"""Without a usable playlist for this long the stream is over."""

Content = MediaPlaylist | MultivariantPlaylist | SteeringManifest


@dataclass(frozen=True, slots=True)
class Habits:
    """What kind of viewer this is."""

    threshold_s: float = 1.0
    """Media needed before the picture starts, and after each stall; in low latency it follows
    from the hold-back."""
    abr: bool = True
    low_latency: bool = False
    sync: bool = False
    """Hold the same picture as everybody else."""
    sync_s: float | None = None
    """The live latency at which; None: what the playlist leads everybody to."""
    total_s: float = 8.0
    """How long a request may take, beside what a server is allowed to hold it."""
    give_up_s: float = GIVE_UP_S


@dataclass(slots=True, eq=False)
class Ask:
    """A request to make. Silence of `idle_s`, or `total_s` in all, is a failure."""

    wanted: Wanted
    url: str
    idle_s: float
    total_s: float
    at: float
    base: str = ""
    """The playlist that was followed when it was made."""
    item: Item | None = None
    reload: Reload | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request. `status` 0: no whole answer, for the reason in `error`."""

    url: str
    """Where it came from in the end."""
    status: int = 200
    error: str = ""
    text: str = ""
    """What went wrong, for people."""
    content: Content | None = None
    """Of a playlist or steering manifest."""
    size_bytes: int = 0
    seconds: float = 0.0
    """From the request to the last byte."""
    transfer_s: float = 0.0
    """From the head of the answer on."""
    retry_after_s: float = 0.0
    date_utc: float | None = None

    @property
    def good(self) -> bool:
        return self.status == 200 and not self.error
