"""Ports for the demo: the usual ones where they are free, others where they are not."""

import os
import socket

from surgecast.errors import SurgecastError

MANAGER_PORT = 8090
RELAYS_FIRST = 8100
RELAYS = 16


def origin_port(host: str, asked: int) -> int:
    """`asked`, or any free one for 0. Raises SurgecastError where somebody else has it."""
    if asked == 0:
        return _free(host)
    error = _refusal(host, asked)
    if error is not None:
        raise SurgecastError(
            f"port {asked} of {host} cannot be used ({os.strerror(error.errno or 0)}); "
            "choose another with --port N, or --port 0 for any free one"
        ) from error
    return asked


def manager_port(host: str, taken: int) -> int:
    """The usual one, unless it is taken."""
    usual = taken != MANAGER_PORT and _refusal(host, MANAGER_PORT) is None
    return MANAGER_PORT if usual else _free(host)


def relay_ports(host: str, taken: tuple[int, ...]) -> int:
    """The first of `RELAYS` ports in a row, of which none is in use."""
    first = RELAYS_FIRST
    while first + RELAYS < 60_000:
        ports = range(first, first + RELAYS)
        if not set(ports) & set(taken) and all(_refusal(host, port) is None for port in ports):
            return first
        first += RELAYS
    raise SurgecastError(f"no {RELAYS} ports in a row are free on {host} from {RELAYS_FIRST} on")


def _free(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _refusal(host: str, port: int) -> OSError | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None
