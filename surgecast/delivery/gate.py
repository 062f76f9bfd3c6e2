"""Who may ask for what is not public: whoever has the token, or without one, this machine."""

import hmac
import ipaddress

from aiohttp import hdrs, web


class Gate:
    """Guards a part of a server's URLs with one token."""

    def __init__(self, token: str | None) -> None:
        """None: peers on the same machine only."""
        self._token = token

    @property
    def refusal_status(self) -> int:
        return 403 if self._token is None else 401

    @property
    def who(self) -> str:
        """Who may pass, for people."""
        if self._token is None:
            return "peers on this machine; set a token to allow others"
        return "Authorization: Bearer <token>"

    def lets_in(self, request: web.Request) -> bool:
        if self._token is not None:
            given = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "surrogateescape")
            return hmac.compare_digest(given, f"Bearer {self._token}".encode())
        # A page of another site makes a browser on this machine ask: that is not the operator.
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and origin.partition("://")[2] != request.host:
            return False
        # Behind a proxy on this machine everybody's peer address is this machine's.
        if any(name in request.headers for name in ("Forwarded", "X-Forwarded-For")):
            return False
        try:
            return ipaddress.ip_address(request.remote or "").is_loopback
        except ValueError:
            return False
