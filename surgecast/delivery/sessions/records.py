"""Histories as JSON: what a session log keeps, and what one server hands to another. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from surgecast.delivery.sessions.histories import Change, Creation, Record, Switch
from surgecast.errors import RemoteError


@dataclass(frozen=True, slots=True)
class Handover:
    """A session with all its histories, from the server that had it."""

    session: str
    region: str
    owner: str
    life_s: float
    """How long its token is good still; no clock of another server is believed."""
    plays: bool
    taken: bool
    books: Mapping[str, Sequence[Record]]
    """By the name of the table they belong to."""

    def to_values(self) -> dict[str, Any]:
        return {
            "session": self.session,
            "region": self.region,
            "owner": self.owner,
            "life_s": self.life_s,
            "plays": self.plays,
            "taken": self.taken,
            "books": {name: list(map(values_of, told)) for name, told in self.books.items()},
        }


def handover_of(values: Any) -> Handover:
    """What another server says. Raises RemoteError."""
    try:
        books = {str(name): [record_of(v) for v in told] for name, told in values["books"].items()}
        handed = Handover(
            str(values["session"]),
            str(values["region"]),
            str(values["owner"]),
            float(values["life_s"]),
            bool(values["plays"]),
            bool(values["taken"]),
            books,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise RemoteError(f"a session that cannot be read: {error!r}") from error
    if not math.isfinite(handed.life_s):
        raise RemoteError(f"session {handed.session!r} lives for {handed.life_s} s")
    if any(record.session != handed.session for told in books.values() for record in told):
        raise RemoteError(f"session {handed.session!r} has records of another one")
    return handed


def values_of(record: Record) -> dict[str, Any]:
    """A record as JSON can say it."""
    values: dict[str, Any] = {"session": record.session, "requested": record.requested}
    if isinstance(record, Creation):
        values |= {"rung": record.rung, "tags_gone": record.tags_gone}
        return values | ({"from_msn": record.from_msn} if record.from_msn else {})
    change = record.change
    return values | {"msn": change.msn, "rung": change.rung, "tagged": change.tagged}


def record_of(values: Any) -> Record:
    """Raises ValueError, KeyError, TypeError, OverflowError."""
    session, requested = str(values["session"]), str(values["requested"])
    if "msn" in values:
        change = Change(int(values["msn"]), str(values["rung"]), tagged=bool(values["tagged"]))
        return Switch(session, requested, change)
    tags_gone, from_msn = int(values["tags_gone"]), int(values.get("from_msn", 0))
    return Creation(session, requested, str(values["rung"]), tags_gone, from_msn)
