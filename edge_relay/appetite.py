"""Which rungs of which channels are worth pulling before anybody asks. Pure.

What is asked for now will be asked for again: a player goes on with the rung it has. How often the
objects of a folder (one rung of one channel) were sent so far says whether anybody still wants it.
"""


class Appetite:
    """Remembers by folder when it was asked for last."""

    def __init__(self) -> None:
        self._asked_at: dict[str, float] = {}
        self._requests: dict[str, int] = {}

    def note(self, folder: str, now: float) -> None:
        """A viewer asked for an object that is not here."""
        self._asked_at[folder] = now

    def lasts(self, folder: str, requests: int | None, now: float, span_s: float) -> bool:
        """Whether it was asked for in the last `span_s`.

        `requests` counts all that were answered until now, where that is known.
        """
        if requests is not None:
            if requests > self._requests.get(folder, 0):
                self._asked_at[folder] = now
            self._requests[folder] = requests
        asked_at = self._asked_at.get(folder)
        return span_s > 0 and asked_at is not None and now - asked_at <= span_s

    def forget(self, channel: str) -> None:
        """The channel is off."""
        for folders in (self._asked_at, self._requests):
            for folder in [name for name in folders if name.startswith(f"{channel}/")]:
                del folders[folder]
