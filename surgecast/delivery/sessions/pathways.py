"""The multivariant playlist of a session: its variants here, and the same on other servers. Pure.

A pathway is a server. Players take redundant variants when a server fails, and go where the
steering manifest says. Every pathway has the same variants under the same names (rule R54), and
the same session token: whichever server is asked, the session stays one. A server that knows of no
other says none of this.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from surgecast.delivery.sessions.neighbours import Neighbour, Neighbours, weight
from surgecast.hls.model import ContentSteering, MultivariantPlaylist, Variant


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session's playlists are: below `/live/{channel}/{folder}{token}/`."""

    channel: str
    folder: str
    session: str
    token: str
    from_entry: bool
    """Whether the multivariant playlist is outside that folder, so that its URIs lead into it."""

    @property
    def lead(self) -> str:
        """From the multivariant playlist to the folder of the session."""
        return f"s/{self.token}/" if self.from_entry else ""


def multivariant(
    variants: Iterable[Variant], place: Place, known: Neighbours, others_max: int
) -> MultivariantPlaylist:
    """`variants` have URIs below the session's folder; the best first."""
    named = tuple(replace(v, stable_id=_stable_id(place, v)) for v in variants)
    own = tuple(replace(v, uri=f"{place.lead}{v.uri}") for v in named)
    others = alternatives(place.session, known, others_max)
    if not others and known.steering_url is None:
        return MultivariantPlaylist(tuple(replace(v, stable_id=None) for v in own))
    here = known.own.server
    listed = [replace(v, pathway_id=here) for v in own]
    for other in others:
        base = f"{other.url}/live/{place.channel}/{place.folder}{place.token}/"
        listed += [replace(v, uri=base + v.uri, pathway_id=other.server) for v in named]
    steering = None
    if known.steering_url is not None:
        uri = f"{known.steering_url}/{place.channel}?session={place.token}"
        steering = ContentSteering(uri, here)
    return MultivariantPlaylist(tuple(listed), steering=steering)


def alternatives(session: str, known: Neighbours, others_max: int) -> list[Neighbour]:
    """Where this session could go: servers of this region first, spread over sessions.

    An origin is always among them: clones that steering makes later are made of its pathway.
    """
    serving = [other for other in known.others if other.takes_sessions]
    serving.sort(key=lambda n: (n.region != known.own.region, weight(session, n.server)))
    named = serving[:others_max]
    origins = [other for other in serving if other.is_origin]
    if named and origins and not known.own.is_origin and not any(n.is_origin for n in named):
        named[-1] = origins[0]
    return named


def _stable_id(place: Place, variant: Variant) -> str:
    """`720p`, or `adaptive` where the server chooses; in low latency `ll-720p`, `ll-adaptive`.

    A name must not mean two playlists: steering spells URLs out by it, whatever is played.
    """
    folders = variant.uri.split("/")
    name = folders[-2] if len(folders) > 1 else "adaptive"
    return f"ll-{name}" if "ll" in (folders[0], place.folder.split("/")[0]) else name
