"""Session tokens: who may watch what, in the path of the playlist. Pure.

    {key id}.{claims}.{signature}

Claims are compact JSON in base64url, the signature is HMAC-SHA256 over all before it, cut to 128
bits (RFC 2104 section 5 asks for half the hash at least). The first key signs, every key verifies:
a key is rotated by putting the new one first, and taking the old one away when its tokens have
expired. Without keys tokens are not signed, for a demo or a closed network; then none is refused
for its signature, and the key id is `0`.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, SecretStr

from surgecast.config import Settings
from surgecast.errors import RemoteError
from surgecast.units import Seconds

_SIGNATURE_BYTES = 16
TOKEN_CHARACTERS_MAX = 400
UNSIGNED = "0"

Reason = Literal["malformed", "unknown_key", "forged", "expired", "foreign"]


class TokenRefused(RemoteError):
    """A token that is not good for what is asked; answered 403 and counted by `reason`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"this session's token is {reason.replace('_', ' of an ')}")
        self.reason = reason


class KeySettings(Settings):
    """One key."""

    id: str = Field(pattern=r"^[A-Za-z1-9][A-Za-z0-9]{0,7}$", description="short name, in tokens")
    secret: SecretStr = Field(min_length=16, description="16 characters or more; from a variable")


class AccessSettings(Settings):
    """Who may watch. The same on the manager and on every server."""

    keys: tuple[KeySettings, ...] = Field(
        default=(),
        max_length=8,
        description="the first signs session tokens, all verify; none: tokens are not signed",
    )
    token_life_s: Seconds = Field(
        default=12 * 3600.0, description="how long after joining a viewer can watch"
    )
    skew_s: Seconds = Field(default=30.0, description="clocks of servers may differ by this much")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. `owner` is the server that decides what this session is shown."""

    session: str
    channel: str
    region: str
    owner: str
    expires_utc: float


class Keyring:
    """Makes and reads tokens."""

    def __init__(self, settings: AccessSettings) -> None:
        self._keys = {key.id: key.secret.get_secret_value().encode() for key in settings.keys}
        self._signing = settings.keys[0].id if settings.keys else UNSIGNED
        self.skew_s = settings.skew_s
        self.life_s = settings.token_life_s

    @property
    def signs(self) -> bool:
        return bool(self._keys)

    def mint(self, claims: Claims) -> str:
        """A token that says `claims`."""
        values = [
            claims.session,
            claims.channel,
            claims.region,
            claims.owner,
            round(claims.expires_utc),
        ]
        text = json.dumps(values, separators=(",", ":")).encode()
        body = f"{self._signing}.{_encode(text)}"
        return f"{body}.{self._signature(self._signing, body)}"

    def read(self, token: str, channel: str, now_utc: float) -> Claims:
        """What `token` says, if it is good for `channel` now. Raises TokenRefused."""
        parts = token.split(".")
        if len(token) > TOKEN_CHARACTERS_MAX or len(parts) != 3:
            raise TokenRefused("malformed")
        key, body, signature = parts
        if key not in self._keys and (self._keys or key != UNSIGNED):
            raise TokenRefused("unknown_key")
        expected = self._signature(key, f"{key}.{body}")
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            raise TokenRefused("forged")
        claims = _claims(_decode(body))
        if claims.expires_utc + self.skew_s < now_utc:
            raise TokenRefused("expired")
        if claims.channel != channel:
            raise TokenRefused("foreign")
        return claims

    def _signature(self, key: str, body: str) -> str:
        if key == UNSIGNED:
            return ""
        digest = hmac.digest(self._keys[key], body.encode(), hashlib.sha256)
        return _encode(digest[:_SIGNATURE_BYTES])


def _claims(values: Any) -> Claims:
    match values:
        case [str(session), str(channel), str(region), str(owner), int(expires_utc)]:
            return Claims(session, channel, region, owner, float(expires_utc))
    raise TokenRefused("malformed")


def _decode(text: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise TokenRefused("malformed") from error


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
