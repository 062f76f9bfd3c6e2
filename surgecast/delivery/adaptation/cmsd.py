"""What players are told with media: Common Media Server Data (CTA-5006), rule R56. Pure.

Segments are shared, so what is told is the same for all who watch a channel on this server: `mb`,
the highest bitrate that a player should choose, and while egress is short `etp`, what there is for
each viewer, and `du`. There are no spaces after `;`: players split there literally.
"""

from dataclasses import dataclass

_SAFE = str.maketrans({'"': "", "\\": ""})


@dataclass(frozen=True, slots=True)
class Advice:
    """What a server tells the players of one channel."""

    server: str
    most_bps: float
    """`mb`: always told, because players keep the last one they heard."""
    share_bps: float | None = None
    """`etp`, where the server is the narrow place."""
    overloaded: bool = False
    """`du`: more is sent than should be."""

    def header(self) -> str:
        """CMSD-Dynamic; rates in kbit/s, `mb` never below what is meant."""
        parameters = [f'"{self.server.translate(_SAFE)}"']
        if self.share_bps is not None:
            parameters.append(f"etp={int(self.share_bps / 1000)}")
        parameters.append(f"mb={-int(-self.most_bps // 1000)}")
        return ";".join([*parameters, "du"] if self.overloaded else parameters)


def segment_header(size_bytes: int, duration_s: float) -> str:
    """CMSD-Static of a live segment with picture and sound."""
    kilobits = -int(-8.0 * size_bytes / duration_s // 1000)
    return f"ot=av,sf=h,st=l,d={round(1000 * duration_s)},br={kilobits}"


PLAYLIST_HEADER = "ot=m,sf=h,st=l"
