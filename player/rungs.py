"""What people call the rung a segment belongs to. Pure."""

from urllib.parse import urlsplit

from surgecast.hls.model import Variant


def rung_of(segment_url: str, variant: Variant | None) -> str:
    """The rung a segment belongs to, as people name it.

    surgecast names it in the path (`/live/{channel}/{rung}/{epoch}-{msn}.ts`), which alone tells
    what a server that switches by itself has sent, with `ll` before the rung in low latency;
    elsewhere it is the variant's resolution.
    """
    parts = urlsplit(segment_url).path.split("/")
    plain, low_latency = parts[-4:-3] == ["live"], parts[-5:-4] == ["live"] and parts[-3] == "ll"
    if plain or low_latency:
        return parts[-2]
    if variant is not None and variant.height is not None:
        return f"{variant.width}x{variant.height}"
    return "only" if variant is None else f"{variant.peak_bps} bit/s"
