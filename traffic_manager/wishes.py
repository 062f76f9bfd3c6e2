"""What the operator wants beside the rules: pause, shadow, offsets with an end, rung caps. Pure.

Wishes outlive a restart of the manager: a fleet that was paused must not wake up because of one.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from surgecast.control.messages import Label

WISHES_MAX = 256


class Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Offset(Wish):
    """Relays wanted in a region beyond the rule (or fewer), until a moment."""

    relays: Annotated[int, Field(ge=-1000, le=1000)]
    until_utc: Annotated[float, Field(allow_inf_nan=False)]


class Wishes(Wish):
    """All of them."""

    paused: bool = False
    shadow: bool = False
    offsets: dict[Label, Offset] = Field(default_factory=dict, max_length=WISHES_MAX)
    """By region."""
    rung_caps: dict[Label, Label] = Field(default_factory=dict, max_length=WISHES_MAX)
    """By channel."""

    def offsets_at(self, utc: float) -> Mapping[str, int]:
        """Those that have not expired."""
        return {name: o.relays for name, o in self.offsets.items() if utc < o.until_utc}

    def with_offset(self, region: str, relays: int, until_utc: float) -> "Wishes":
        """Zero takes an offset back."""
        offsets = {name: o for name, o in self.offsets.items() if name != region}
        if relays:
            offsets[region] = Offset(relays=relays, until_utc=until_utc)
        return self.model_copy(update={"offsets": offsets})

    def with_rung_cap(self, channel: str, rung: str | None) -> "Wishes":
        """None takes a cap back."""
        caps = {name: value for name, value in self.rung_caps.items() if name != channel}
        if rung is not None:
            caps[channel] = rung
        return self.model_copy(update={"rung_caps": caps})

    def without_expired(self, utc: float) -> "Wishes":
        offsets = {name: o for name, o in self.offsets.items() if utc < o.until_utc}
        return self if offsets == self.offsets else self.model_copy(update={"offsets": offsets})
