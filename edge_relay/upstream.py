"""Everything a relay gets from above: its channels, their windows, and the bytes of their objects.

`Upstream` is what the relay's process is built around:

    upstream = Upstream(settings.pull, directory, clock=clock, token=settings.control.token)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(upstream.run())
        await upstream.prewarm(("news",))   # returns when it is warm and checked

It fills stages of an ordinary `Directory`, so that a relay serves with the code of an origin.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_relay.pull_settings import PullSettings
from surgecast.clock import Clock
from surgecast.delivery.channels import Directory
from surgecast.delivery.settings import AdaptationSettings, SessionSettings


@dataclass(slots=True)
class Pulled:
    """Counters since the start of the process; a report is made of them."""

    upstream_fetches: int = 0
    """Requests for objects, failed and repeated ones included."""
    objects_fetched: int = 0
    """Different objects that came whole and as announced."""
    bytes_in: int = 0
    """Of answers from upstream, feeds included."""


class Upstream:
    """Follows the feeds of an upstream and pulls what is asked for.

    `sessions` and `adaptation` are those of the channels it puts on show. `token` is shown to
    other servers (`control.token`).
    """

    def __init__(
        self,
        settings: PullSettings,
        directory: Directory,
        *,
        clock: Clock,
        token: str | None = None,
        sessions: SessionSettings | None = None,
        adaptation: AdaptationSettings | None = None,
    ) -> None:
        self.settings = settings
        self.pulled = Pulled()

    async def run(self) -> None:
        """Follow until cancelled; what fails is tried again, and told by `warnings`."""
        raise NotImplementedError

    async def prewarm(self, channels: Iterable[str]) -> None:
        """Return when the live window of each is here, in every rung, and keeps the rules.

        From then on these channels are pulled as they are announced, whether asked for or not,
        until `keep_warm` says otherwise. Never raises for an upstream that fails: it waits, and
        `not_warm` says for what.
        """
        raise NotImplementedError

    def keep_warm(self, channels: Iterable[str]) -> None:
        """The channels to be kept warm from now on, as a directive names them. Does not wait."""
        raise NotImplementedError

    def not_warm(self) -> Sequence[str]:
        """What is missing of the channels to be warm, as sentences; empty when the relay is ready.

        For `problems` of `surgecast.delivery.app.build_app`.
        """
        raise NotImplementedError

    def warnings(self) -> Sequence[str]:
        """Upstreams that fail, channels that stand still: told, but viewers are served."""
        raise NotImplementedError

    def use(self, upstreams: Sequence[str]) -> None:
        """Another list of upstreams, the best first; what is under way goes on."""
        raise NotImplementedError

    @property
    def upstream_bps(self) -> float:
        """What is pulled, over the last seconds."""
        raise NotImplementedError
