"""Where finished segments go: the face that `segmenter` asks of whoever keeps or serves them."""

from typing import Protocol

from segmenter.ladder import Decided
from surgecast.media.part import PartSet
from surgecast.media.segment import SegmentSet


class SegmentSink(Protocol):
    """Takes what a channel's segmenter finishes. Calls come from one event loop, in order."""

    def open(self, decided: Decided) -> None:
        """The ladder is decided. Called once, before anything is published."""
        ...

    def publish(self, segments: SegmentSet) -> None:
        """List a segment of every rung.

        Raises LocalError where that cannot be done now. Then nothing was listed, and the number
        comes again with a later segment.
        """
        ...

    def publish_part(self, parts: PartSet) -> None:
        """Put a part of every rung on show. Only called where the channel has low latency on.

        Raises LocalError where that cannot be done now; then its parent goes no further, and the
        next one starts with a discontinuity: under the same number where nothing of it was taken.
        """
        ...
