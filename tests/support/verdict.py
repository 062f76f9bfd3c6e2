"""What a test in real time may hold against a stream on a machine of any speed."""

from collections.abc import Iterable, Sequence

from surgecast.hls.observation import Finding

_OF_SPEED = {"R21", "R23", "R39", "R44", "R45"}
"""Rules that a stream breaks, or a checker sees broken, where the processor is late: that segments
come in time, that a wait ends in time and its bytes come at once, and that what is about to go is
asked for in time."""
_LATE = "the slate is shown"
_SEAM = "#EXT-X-DISCONTINUITY\n"


def broken(findings: Iterable[Finding]) -> list[str]:
    """Findings that no machine is too slow to avoid."""
    return [f"{f.rule} {f.where} {f.what}" for f in findings if f.rule not in _OF_SPEED]


def seamless(playlist: str, log: Sequence[str], channel: str) -> bool:
    """No discontinuity, or the slate stood in for an encoder that got no processor time."""
    late = any(_LATE in line and f"channel={channel}" in line for line in log)
    return _SEAM not in playlist or late
