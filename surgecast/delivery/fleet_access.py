"""Requests between servers, below `/fleet/v1/`: who may make them, and what shows who does.

With a token, those who have it. Without one, processes on the same machine, but not through a
proxy there, behind which everybody's address is this machine's.
"""

import hmac
import ipaddress

from aiohttp import hdrs, web


def is_server(request: web.Request, token: str | None) -> bool:
    """Whether another server of the fleet asks."""
    if token is not None:
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, f"Bearer {token}".encode())
    if any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", hdrs.ORIGIN)):
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False


def server_headers(token: str | None) -> dict[str, str]:
    """What shows another server that this one asks."""
    return {} if token is None else {hdrs.AUTHORIZATION: f"Bearer {token}"}
