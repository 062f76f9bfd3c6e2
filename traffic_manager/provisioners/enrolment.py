"""What a new relay must know to join this fleet, and how its secrets reach it. Pure.

Secrets travel in environment variables only: configuration files and command lines can be read by
others, and are.
"""

from dataclasses import dataclass, field
from typing import Any

from surgecast.delivery.sessions.tokens import AccessSettings

TOKEN_VARIABLE = "SURGECAST_CONTROL_TOKEN"
KEY_VARIABLE = "SURGECAST_KEY_{id}"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The same for every relay of a fleet."""

    manager_url: str
    token: str | None = field(default=None, repr=False)
    access: AccessSettings = field(default_factory=AccessSettings)

    def environment(self) -> dict[str, str]:
        """The secrets, by the names that `settings` refers to."""
        found = {
            KEY_VARIABLE.format(id=key.id): key.secret.get_secret_value()
            for key in self.access.keys
        }
        if self.token is not None:
            found[TOKEN_VARIABLE] = self.token
        return found

    def settings(self) -> dict[str, Any]:
        """The part of a relay's configuration file that makes it one of us."""
        control = {"manager": self.manager_url}
        if self.token is not None:
            control["token"] = f"${{{TOKEN_VARIABLE}}}"
        keys = [
            {"id": key.id, "secret": f"${{{KEY_VARIABLE.format(id=key.id)}}}"}
            for key in self.access.keys
        ]
        life = {
            "token_life_s": self.access.token_life_s,
            "skew_s": self.access.skew_s,
        }
        return {"control": control, "access": {"keys": keys, **life}}
