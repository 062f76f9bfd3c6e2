"""What an operator can say about how relays are started. Values and their bounds; pure."""

import string
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from surgecast.config import Settings
from surgecast.units import Bytes, Seconds

PLACES_FOR_URL = ("server", "region")
PLACES_FOR_START = ("server", "region", "url", "manager", "upstreams", "channels")
PLACES_FOR_OTHERS = ("server", "region", "url")

_OWNED = {"server", "http", "upstreams", "prewarm", "control", "access"}
"""Sections of a relay's configuration that the provisioner writes itself."""


def fill(template: str, values: Mapping[str, str]) -> str:
    """`template` with its placeholders filled. It was checked when it was loaded."""
    return template.format_map(values)


def check_places(template: str, allowed: Collection[str]) -> str:
    """`template`, if it names nothing but what it can be filled with. Raises ValueError."""
    expected = ", ".join(f"{{{name}}}" for name in allowed)
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{template!r}: {error}; expected placeholders {expected}") from error
    for _, name, form, conversion in pieces:
        if name is not None and (name not in allowed or form or conversion):
            raise ValueError(f"unknown placeholder {{{name}}}; allowed: {expected}")
    return template


def _template(*allowed: str) -> AfterValidator:
    return AfterValidator(lambda text: check_places(text, allowed))


StartWord = Annotated[str, Field(max_length=2000), _template(*PLACES_FOR_START)]
Word = Annotated[str, Field(max_length=2000), _template(*PLACES_FOR_OTHERS)]


class LocalSettings(Settings):
    """Relays as processes of the manager's own machine."""

    kind: Literal["local"] = "local"
    host: str = Field(default="127.0.0.1", min_length=1, description="address relays listen on")
    ports_first: int = Field(default=8100, ge=1, le=65535, description="first port of relays")
    ports_last: int = Field(
        default=8199, ge=1, le=65535, description="last one; there are at most as many relays"
    )
    public_url: Annotated[str, _template("host", "port", "server", "region")] = Field(
        default="http://{host}:{port}",
        pattern=r"^https?://",
        description="how viewers reach a relay; {host}, {port}, {server} and {region} are filled",
    )
    state_dir: Path = Field(
        default=Path("state/relays"),
        description="private folder with what must survive a restart of the manager",
    )
    outlive_manager: bool = Field(
        default=True,
        description="whether relays go on when the manager dies and are found again by the next; "
        "`false` ends them with it",
    )
    stop_grace_s: Seconds = Field(
        default=10.0, description="a relay that was told to end is killed after this time"
    )
    log_bytes_max: Bytes = Field(
        default=1024 * 1024, description="what is kept of the output of one relay"
    )
    relay: dict[str, Any] = Field(
        default_factory=dict,
        description="settings of every relay, as in its own YAML: egress, sessions, log, ...",
    )

    @model_validator(mode="after")
    def _ports_in_order(self) -> Self:
        if self.ports_first > self.ports_last:
            raise ValueError(
                f"ports_first {self.ports_first} is above ports_last {self.ports_last}; "
                "expected a range of at least one port"
            )
        return self

    @model_validator(mode="after")
    def _relay_leaves_us_our_part(self) -> Self:
        taken = sorted(_OWNED & set(self.relay))
        if taken:
            raise ValueError(f"relay.{taken[0]} is written by the provisioner; leave it out")
        return self


class CommandSettings(Settings):
    """Relays started, looked at and ended by commands of the operator."""

    kind: Literal["command"]
    start: tuple[StartWord, ...] = Field(
        min_length=1,
        max_length=64,
        description="program and arguments; {server}, {region}, {url}, {manager}, {upstreams} and "
        "{channels} (comma-separated) are filled; secrets are in its environment",
    )
    probe: tuple[Word, ...] = Field(
        min_length=1,
        max_length=64,
        description="exit status 0: it runs; 255: cannot be told (ssh); any other: it has ended",
    )
    stop: tuple[Word, ...] = Field(
        min_length=1, max_length=64, description="ends it; status 0 also if there is none"
    )
    url: Annotated[str, _template(*PLACES_FOR_URL)] | None = Field(
        default=None, description="how viewers reach a relay; none: its reports tell"
    )
    state_dir: Path = Field(
        default=Path("state/relays"), description="what must survive a restart of the manager"
    )
    start_timeout_s: Seconds = Field(
        default=60.0, description="for the start command, and again until the probe says it runs"
    )
    probe_timeout_s: Seconds = Field(default=10.0, description="for one probe")
    probe_every_s: Seconds = Field(default=0.5, description="pause between probes at a start")
    stop_timeout_s: Seconds = Field(default=60.0, description="for the stop command")
    commands_max: int = Field(default=8, ge=1, le=256, description="commands at the same time")


ProvisionerSettings = Annotated[LocalSettings | CommandSettings, Field(discriminator="kind")]
