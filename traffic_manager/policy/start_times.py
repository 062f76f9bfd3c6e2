"""How long relays take from the decision until they serve, and until a viewer is on them. Pure.

Measured, not configured: the policy looks as far ahead as that, and no farther.
"""

import statistics
from collections import deque

from traffic_manager.fleet import Moved, Server

_KEPT = 50


class StartTimes:
    """Of the last relays that were asked for."""

    def __init__(self) -> None:
        self._serving: deque[float] = deque(maxlen=_KEPT)
        self._first_viewer: deque[float] = deque(maxlen=_KEPT)
        self._waited_for: dict[str, float] = {}
        """Relays without a viewer yet: when they were asked for."""

    def notice(self, moved: Moved) -> None:
        server = moved.server
        asked_at_s = server.requested_at_s
        if server.state == "serving" and asked_at_s is not None:
            self._serving.append(server.since_s - asked_at_s)
            self._waited_for[server.id] = asked_at_s
        elif server.state in ("draining", "stopped", "failed"):
            self._waited_for.pop(server.id, None)

    def look(self, server: Server) -> float | None:
        """After each report: how long until the first viewer, once, when that is known."""
        if server.id not in self._waited_for or server.first_viewer_at_s is None:
            return None
        took_s = server.first_viewer_at_s - self._waited_for.pop(server.id)
        self._first_viewer.append(took_s)
        return took_s

    @property
    def serving_s(self) -> float | None:
        """The median, from the decision until it serves; None before the first."""
        return statistics.median(self._serving) if self._serving else None

    @property
    def first_viewer_s(self) -> float | None:
        """The median, from the decision until the first media left for a viewer."""
        return statistics.median(self._first_viewer) if self._first_viewer else None

    @property
    def measured(self) -> int:
        return len(self._serving)
