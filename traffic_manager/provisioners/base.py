"""What the manager asks of whatever starts relays, and what it can count on. Pure.

A provisioner makes *instances* exist and end; whether a relay serves is said by the relay itself,
in its reports. Every provisioner keeps these promises (tests/contracts/test_provisioners.py):

- `start` answers with an instance, or raises ProvisionFailed and leaves nothing behind. It does not
  wait until the relay serves.
- One server id is one instance: a second `start` answers with the one there is.
- `stop` can be repeated, and may name what was never there.
- An instance that ends by itself stays in `list()` as ended, with its last words, until `stop`.
- What a former run of the manager started is in `list()` again, or was ended.
- Every wait is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from surgecast.errors import LocalError

LAST_WORDS_MAX = 1000
"""Characters of a process's output that an error or an ended instance carries."""
_LAST_LINES = 4


class ProvisionFailed(LocalError):
    """Nothing was started, or it cannot be told that something was ended. The text says why."""


@dataclass(frozen=True, slots=True)
class RelayOrder:
    """A relay that is wanted."""

    server: str
    """Its id: chosen by the manager, never used again."""
    region: str
    upstreams: tuple[str, ...]
    """Base URLs of the servers it pulls from, best first."""
    channels: tuple[str, ...] = ()
    """To be warm before it serves."""


@dataclass(frozen=True, slots=True)
class Instance:
    """What was started for one order."""

    server: str
    running: bool
    url: str | None = None
    """Where viewers will reach it, if the provisioner decides that; else its reports tell."""
    detail: str = ""
    """For people: which process, or the last words of one that has ended."""


class Provisioner(Protocol):
    """Starts and ends relays."""

    async def start(self, order: RelayOrder) -> Instance:
        """The instance that now exists for `order`. Raises ProvisionFailed."""
        ...

    async def stop(self, server: str) -> None:
        """End an instance and forget it. Raises ProvisionFailed if it may still be there."""
        ...

    async def list(self) -> Sequence[Instance]:
        """Everything that was started and not stopped. Raises ProvisionFailed."""
        ...

    async def close(self) -> None:
        """The manager ends. Relays go on where the provisioner's settings say so."""
        ...


def last_words(output: str) -> str:
    """The end of what a process wrote, short enough for a message."""
    text = "\n".join(output.strip().splitlines()[-_LAST_LINES:])
    return text if len(text) <= LAST_WORDS_MAX else f"... {text[-LAST_WORDS_MAX:]}"
