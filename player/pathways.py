"""Which server a viewer gets its playlists from: pathways, steering, penalties. Pure.

A pathway is a set of copies of all variants, as a rule on one server. There are three kinds: those
with a PATHWAY-ID, redundant variants without one (RFC 8216 section 6.2.4), and clones that a
steering manifest makes (RFC 8216bis section 7.2). A pathway that failed is penalised: it is used
again when its time is over and steering still wants it, or when nothing else is left.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from surgecast.errors import RemoteError
from surgecast.hls.model import MultivariantPlaylist, Variant

PENALTY_S = 120.0
"""RFC 8216bis section 7.5 leaves the length to the client; AVPlayer takes about two minutes."""
TTL_S = 300.0
"""Of a manifest without one (RFC 8216bis section 7.4)."""
TTL_S_MIN = 1.0
PATHWAYS_MAX = 64
"""Clones beyond that are ignored."""

Key = str
"""Names a variant on every pathway: STABLE-VARIANT-ID, or what redundant variants share."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One variant on one pathway."""

    key: Key
    url: str
    variant: Variant


@dataclass(frozen=True, slots=True)
class Clone:
    """PATHWAY-CLONES: a pathway like `base`, elsewhere."""

    pathway: str
    base: str
    host: str | None = None
    params: Mapping[str, str] | None = None
    uris: Mapping[str, str] | None = None
    """Stable id of a variant -> its whole URL."""


@dataclass(frozen=True, slots=True)
class SteeringManifest:
    """What a steering server answers."""

    ttl_s: float
    priority: tuple[str, ...]
    reload_uri: str | None = None
    clones: tuple[Clone, ...] = ()


class Pathways:
    """One viewer's choice of servers. `current` is the pathway in use."""

    def __init__(self, playlist: MultivariantPlaylist, url: str) -> None:
        self._copies = _by_pathway(playlist.variants, url)
        self._order = tuple(self._copies)
        self._penalised_until: dict[str, float] = {}
        steering = playlist.steering
        wanted = steering.pathway_id if steering is not None else None
        self.current = wanted if wanted in self._copies else self._order[0]
        self.steering_url = None if steering is None else urljoin(url, steering.server_uri)

    @property
    def copies(self) -> Sequence[Copy]:
        """The variants on the pathway in use."""
        return tuple(self._copies[self.current].values())

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._copies)

    def copy(self, key: Key) -> Copy:
        """A variant on the pathway in use; the nearest one below where it has not that one."""
        here = self._copies[self.current]
        if key in here:
            return here[key]
        peak = next((c[key].variant.peak_bps for c in self._copies.values() if key in c), 0)
        ordered = sorted(here.values(), key=lambda copy: copy.variant.peak_bps)
        below = [copy for copy in ordered if copy.variant.peak_bps <= peak]
        return below[-1] if below else ordered[0]

    def elsewhere(self, now: float) -> bool:
        """True where another pathway could be used now."""
        return any(name != self.current and not self._penalised(name, now) for name in self._copies)

    def fail(self, now: float) -> bool:
        """Penalise the pathway in use and go to the best other; False where there is none."""
        others = [name for name in self._ranked() if name != self.current]
        self._penalised_until[self.current] = now + PENALTY_S
        free = [name for name in others if not self._penalised(name, now)]
        if free:
            self.current = free[0]
        return bool(free)

    def steer(self, manifest: SteeringManifest, now: float) -> bool:
        """Do as the steering server says; True where that changed the pathway."""
        for clone in manifest.clones:
            self._clone(clone)
        known = tuple(name for name in manifest.priority if name in self._copies)
        rest = tuple(name for name in self._copies if name not in known)
        self._order = known + rest
        # A pathway that is not in the list is not to be used, unless there is no other.
        choice = [name for name in known if not self._penalised(name, now)] or list(known)
        before = self.current
        if choice:
            self.current = choice[0]
        return self.current != before

    def _ranked(self) -> Sequence[str]:
        return self._order + tuple(name for name in self._copies if name not in self._order)

    def _penalised(self, name: str, now: float) -> bool:
        return self._penalised_until.get(name, now) > now

    def _clone(self, clone: Clone) -> None:
        base = self._copies.get(clone.base)
        if base is None or (
            clone.pathway not in self._copies and len(self._copies) >= PATHWAYS_MAX
        ):
            return
        if clone.pathway == clone.base:
            return
        self._copies[clone.pathway] = {
            key: replace(copy, url=_cloned(copy, clone)) for key, copy in base.items()
        }


def _by_pathway(variants: Sequence[Variant], url: str) -> dict[str, dict[Key, Copy]]:
    """The n-th redundant copy of a variant without a pathway is on a pathway of n points."""
    found: dict[str, dict[Key, Copy]] = {}
    for variant in variants:
        key = _key(variant)
        name = variant.pathway_id or "."
        while variant.pathway_id is None and key in found.get(name, {}):
            name += "."
        found.setdefault(name, {}).setdefault(key, Copy(key, urljoin(url, variant.uri), variant))
    return found


def _key(variant: Variant) -> Key:
    if variant.stable_id is not None:
        return variant.stable_id
    return f"{variant.peak_bps} {variant.width}x{variant.height} {variant.codecs}"


def _cloned(copy: Copy, clone: Clone) -> str:
    """RFC 8216bis section 7.2: a whole URL where one is given, else host and parameters."""
    stable = copy.variant.stable_id
    url = (clone.uris or {}).get(stable, copy.url) if stable is not None else copy.url
    parts = urlsplit(url)
    if clone.host and url == copy.url:
        parts = parts._replace(netloc=_with_port(clone.host, parts.port))
    if clone.params:
        asked = dict(parse_qsl(parts.query, keep_blank_values=True))
        parts = parts._replace(query=urlencode({**asked, **dict(sorted(clone.params.items()))}))
    return urlunsplit(parts)


def _with_port(host: str, port: int | None) -> str:
    """HOST is a host name; the port of the base stays, as in browsers (`URL.hostname`)."""
    named = urlsplit(f"//{host}").port is not None
    return host if named or port is None else f"{host}:{port}"


def steering_request(url: str, pathway: str, throughput_bps: float) -> str:
    """The URL of a steering request (RFC 8216bis section 7.4)."""
    joint = "&" if urlsplit(url).query else "?"
    return f'{url}{joint}_HLS_pathway="{pathway}"&_HLS_throughput={throughput_bps:.0f}'


def read_manifest(text: str) -> SteeringManifest:
    """A steering manifest. Raises RemoteError for what no player would take."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RemoteError(f"not a steering manifest: {error}") from error
    if not isinstance(values, dict) or values.get("VERSION") != 1:
        raise RemoteError("not a steering manifest of VERSION 1")
    ttl = values.get("TTL", TTL_S)
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not ttl > 0:
        raise RemoteError(f"steering manifest: TTL: expected seconds above 0, found {ttl!r}")
    priority = values.get("PATHWAY-PRIORITY", [])
    if not isinstance(priority, list):
        raise RemoteError("steering manifest: PATHWAY-PRIORITY: expected a list")
    reload_uri = values.get("RELOAD-URI")
    clones = values.get("PATHWAY-CLONES", [])
    return SteeringManifest(
        max(TTL_S_MIN, float(ttl)),
        tuple(name for name in priority if isinstance(name, str)),
        reload_uri if isinstance(reload_uri, str) and reload_uri else None,
        tuple(_clones(clones if isinstance(clones, list) else [])),
    )


def _clones(entries: Sequence[Any]) -> Sequence[Clone]:
    """What can be used of them; a clone of a kind from the future is left out."""
    found = []
    for entry in entries[:PATHWAYS_MAX]:
        match entry:
            case {"ID": str(name), "BASE-ID": str(base), "URI-REPLACEMENT": dict(where)}:
                host = where.get("HOST")
                found.append(
                    Clone(
                        name,
                        base,
                        host if isinstance(host, str) and host else None,
                        _texts(where.get("PARAMS")),
                        _texts(where.get("PER-VARIANT-URIS")),
                    )
                )
    return found


def _texts(values: object) -> Mapping[str, str] | None:
    if not isinstance(values, dict):
        return None
    return {str(name): text for name, text in values.items() if isinstance(text, str)}
