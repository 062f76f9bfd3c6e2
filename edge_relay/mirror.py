"""One channel of the upstream, on show here: what its feed says becomes sets in an ordinary stage.

Decides by `edge_relay.splice` how a feed goes on from what is here. Whatever a feed says that does
not fit is a RemoteError: that feed is left, and what is on show stays as it is.
"""

from edge_relay.splice import Numbers, Place, splice_parts, splice_sets
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.low_latency import LowLatencyStage
from surgecast.delivery.replica.lines import Ended, Event, Heartbeat, Shape, Snapshot, WindowState
from surgecast.delivery.settings import AdaptationSettings, SessionSettings
from surgecast.errors import LocalError, RemoteError
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.part import PartSet
from surgecast.media.segment import SegmentSet
from surgecast.media.window import Window, WindowSettings


class Mirror:
    """The channel `name`; its stage is made with the first snapshot."""

    def __init__(
        self,
        name: str,
        directory: Directory,
        sessions: SessionSettings,
        adaptation: AdaptationSettings,
    ) -> None:
        self.name = name
        self.stage: Stage | None = None
        self.shape: Shape | None = None
        self._directory = directory
        self._sessions = sessions
        self._adaptation = adaptation
        self._parts: dict[Place, PartSet] = {}
        """Every part that can be downloaded, as it was announced."""
        self._measured: WindowState | None = None
        """What the upstream has measured in parts, until we are where it was then: an origin that
        came back does not know the segment that is still open here."""

    def take(self, event: Event) -> None:
        """Show what a feed says. Raises RemoteError for what contradicts what is on show."""
        try:
            if isinstance(event, Snapshot):
                self._go_on(event)
            elif isinstance(event, SegmentSet):
                self._publish(self._on_show, event)
            elif isinstance(event, PartSet):
                self._publish_part(self._on_show, event)
            elif isinstance(event, Ended) and not self._on_show.window.ended:
                self._on_show.end()
            else:
                assert isinstance(event, Heartbeat | Ended)
        except LocalError as error:  # of a window, which takes nothing that breaks a rule
            raise RemoteError(f"the feed breaks a rule: {error}") from error

    def remove(self) -> None:
        """Take the channel off."""
        if self.stage is not None:
            self._directory.remove(self.name)
            self.stage = self.shape = self._measured = None
            self._parts.clear()

    @property
    def _on_show(self) -> Stage:
        assert self.stage is not None, "a feed begins with a snapshot"
        return self.stage

    # A new feed.

    def _go_on(self, theirs: Snapshot) -> None:
        stage = self.stage
        if stage is not None and self._is_another_show(stage, theirs):
            self._check_goes_forward(stage, theirs)
            self.remove()
            stage = None
        is_new = stage is None
        if stage is None:
            stage = self._open(theirs)
        if stage.window.ended:
            return
        self._go_on_in_segments(stage, theirs, is_new=is_new)
        self._go_on_in_parts(stage, theirs, is_new=is_new)

    def _is_another_show(self, stage: Stage, theirs: Snapshot) -> bool:
        went_on = stage.window.ended and theirs.window.next_msn > stage.window.next_msn
        return self.shape != theirs.shape or went_on

    def _check_goes_forward(self, stage: Stage, theirs: Snapshot) -> None:
        """What takes the place of a show under the same URLs must not go back either."""
        numbers = _numbers(stage.window)
        pairs = [(numbers, theirs.window)]
        splice_sets(numbers, {kept.msn: kept for kept in stage.window.kept}, theirs)
        if stage.low_latency is not None and theirs.low_latency is not None:
            window = stage.low_latency.window
            numbers = _numbers(window)
            pairs.append((numbers, theirs.low_latency))
            splice_parts(numbers, self._parts, _is_open(window), theirs)
        for ours, state in pairs:
            if (
                state.first_msn < ours.first_msn
                or state.next_msn < ours.next_msn
                or state.discontinuity_sequence < ours.discontinuity_sequence
            ):
                raise RemoteError(
                    "the upstream goes back in time, with another ladder: it begins at "
                    f"{state.first_msn}, we at {ours.first_msn}"
                )

    def _open(self, theirs: Snapshot) -> Stage:
        shape = theirs.shape
        settings = WindowSettings(window_segments=shape.listed_max)
        window = Window(shape.renditions, shape.segment_duration_s, settings)
        parts = None
        if shape.part_target_s is not None:
            parts = LowLatencyWindow(
                shape.renditions, shape.segment_duration_s, shape.part_target_s, settings
            )
        self.stage = self._directory.add(
            self.name,
            window,
            sessions=self._sessions,
            adaptation=self._adaptation,
            low_latency=parts,
        )
        self.shape = shape
        return self.stage

    def _go_on_in_segments(self, stage: Stage, theirs: Snapshot, *, is_new: bool) -> None:
        window, state = stage.window, theirs.window
        ours = None if is_new else _numbers(window)
        splice = splice_sets(ours, {kept.msn: kept for kept in window.kept}, theirs)
        if splice.anew:
            older = [segments for segments in theirs.sets if segments.msn < state.first_msn]
            stage.resume(state.first_msn, state.discontinuity_sequence, older)
        for segments in splice.missed:
            stage.publish(segments)
        if window.next_msn == state.next_msn:
            stage.set_measured(state.measured)

    def _go_on_in_parts(self, stage: Stage, theirs: Snapshot, *, is_new: bool) -> None:
        shown, state = stage.low_latency, theirs.low_latency
        if shown is None or state is None:
            return
        window = shown.window
        ours = None if is_new else _numbers(window)
        splice = splice_parts(ours, self._parts, _is_open(window), theirs)
        if splice.anew:
            older = [
                parts
                for parts in splice.missed
                if parts.msn < state.first_msn and parts.index == 0 and parts.discontinuity
            ]
            first_msn = splice.missed[0].msn if splice.missed else state.next_msn
            window.resume(first_msn, max(0, state.discontinuity_sequence - len(older)))
            self._parts.clear()
        for parts in splice.missed:
            self._publish_part(stage, parts)
        if splice.anew:
            window.unlist_before(state.first_msn)
        self._measured = state
        self._measure(shown)

    # A feed that goes on.

    def _publish(self, stage: Stage, segments: SegmentSet) -> None:
        window = stage.window
        if segments.msn < window.next_msn:
            known = {kept.msn: kept for kept in window.kept}
            if known.get(segments.msn, segments) != segments:
                raise RemoteError(f"the feed has segment {segments.msn} again, and another one")
            return
        stage.publish(segments)

    def _publish_part(self, stage: Stage, parts: PartSet) -> None:
        place = (parts.msn, parts.index)
        known = self._parts.get(place)
        if known is not None:
            if known != parts:
                raise RemoteError(f"the feed has part {parts.msn}.{parts.index} again, another one")
            return
        stage.publish_part(parts)
        self._parts[place] = parts
        assert stage.low_latency is not None
        self._measure(stage.low_latency)
        if parts.index == 0:
            oldest = stage.low_latency.window.kept_msn
            for old in [old for old in self._parts if old[0] < oldest]:
                del self._parts[old]

    def _measure(self, shown: LowLatencyStage) -> None:
        if self._measured is not None and self._measured.next_msn == shown.window.next_msn:
            shown.set_measured(self._measured.measured)
            self._measured = None


def _numbers(window: Window | LowLatencyWindow) -> Numbers:
    return Numbers(
        window.first_msn,
        window.next_msn,
        window.discontinuity_sequence,
        window.discontinuity_number,
    )


def _is_open(window: LowLatencyWindow) -> bool:
    """Whether the newest segment is not whole."""
    return window.edge is not None and window.edge[0] == window.next_msn
