"""What an operator may ask of a channel's source."""

from dataclasses import dataclass, field

from segmenter.encode_watch import EncodeStatus
from segmenter.source_info import SourceInfo


@dataclass(slots=True)
class Status:
    """Kept by the parts of one channel's segmenter, each its own fields; read by its owner."""

    source: SourceInfo | None = None
    peer: str | None = None
    runs: int = 0
    last_error: str | None = None
    """Why the source is not shown; None once it is."""
    encode: EncodeStatus = field(default_factory=EncodeStatus)
    sink_error: str | None = None
    """Why segments cannot be put on show, whatever the source does; None once they can."""
