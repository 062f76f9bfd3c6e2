"""An origin's channel and a relay's mirror of it, joined by lines alone: no network, no bytes."""

from collections.abc import Iterable

from edge_relay.mirror import Mirror
from surgecast.clock import ManualClock
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.replica.lines import FeedReader
from surgecast.delivery.replica.log import ReplicaLog
from surgecast.delivery.settings import AdaptationSettings, SessionSettings
from surgecast.delivery.shelf import MakeAsset, Shelf
from surgecast.media.remote import Remote
from tests.support.parts import Encoder, low_latency_window
from tests.support.shows import RUNGS, segment_set, window


class NoSupply:
    """Has no bytes; remembers what it was told to have."""

    def __init__(self) -> None:
        self.stocked: dict[str, Remote] = {}

    def stock(self, shelf: Shelf, path: str, remote: Remote, make: MakeAsset) -> None:
        self.stocked[path] = remote
        shelf.put(path, make(b""))

    def expect(self, shelf: Shelf, paths: Iterable[str]) -> None:
        pass

    def drop(self, shelf: Shelf, path: str) -> None:
        self.stocked.pop(path, None)


class Source:
    """A channel fed by hand whose lines can be followed."""

    def __init__(
        self, next_msn: int = 0, discontinuity_sequence: int = 0, part_msn: int | None = None
    ) -> None:
        next_part_msn = next_msn if part_msn is None else part_msn
        self.directory = Directory(ManualClock())
        self.stage: Stage = self.directory.add(
            "demo",
            window(next_msn, discontinuity_sequence),
            sessions=SessionSettings(),
            adaptation=AdaptationSettings(),
            low_latency=low_latency_window(next_part_msn, discontinuity_sequence),
        )
        self.encoder = Encoder(next_part_msn)
        self.lines: list[bytes] = []
        """What a follower that is connected has not read yet."""
        low_latency = self.stage.low_latency
        assert low_latency is not None
        self.log = ReplicaLog("demo", self.stage.window, low_latency.window, self.lines.append)

    def publish(self, **values: bool) -> None:
        msn = self.stage.window.next_msn
        self.stage.publish(segment_set(msn, epoch=self.encoder.epoch, **values))

    def publish_parts(self, count: int = 1) -> None:
        for _ in range(count):
            self.stage.publish_part(self.encoder.part())


class Copy:
    """A mirror, and the feed it reads."""

    def __init__(self) -> None:
        self.supply = NoSupply()
        self.directory = Directory(ManualClock())
        self.directory.supply_from(self.supply)
        self.mirror = Mirror("demo", self.directory, SessionSettings(), AdaptationSettings())
        self._reader = FeedReader("demo")
        self.lines: list[bytes] = []
        self.directory.watch(self)

    def added(self, stage: Stage) -> None:
        """As watcher of the directory: a relay of this relay follows `log`."""
        low_latency = stage.low_latency
        assert low_latency is not None
        self.log = ReplicaLog("demo", stage.window, low_latency.window, self.lines.append)

    def ended(self, stage: Stage) -> None:
        self.log.end()

    def removed(self, stage: Stage) -> None:
        self.log.close()

    def stopping(self) -> None:
        pass

    @property
    def stage(self) -> Stage:
        assert self.mirror.stage is not None
        return self.mirror.stage

    def connect(self, source: "Source | Copy") -> None:
        source.lines.clear()
        self.reconnect()
        self.read(source.log.snapshot())

    def reconnect(self) -> None:
        """What is read from now on is another feed."""
        self._reader = FeedReader("demo")

    def read(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            event = self._reader.take(line)
            if event is not None:
                self.mirror.take(event)

    def follow(self, source: "Source | Copy") -> None:
        """Read what was told since the last time."""
        lines = list(source.lines)
        source.lines.clear()
        self.read(lines)


def playlists(stage: Stage) -> dict[str, bytes]:
    """Every playlist that all viewers share, as it is now."""
    assert stage.low_latency is not None
    parts = stage.low_latency.window
    texts = {
        "index": stage.window.multivariant(),
        "ll": parts.multivariant(),
        **{rung: stage.window.playlist(rung) for rung in RUNGS},
        **{f"ll/{rung}": parts.playlist(rung) for rung in RUNGS},
        **{f"ll/{rung} delta": parts.playlist(rung, delta=True) for rung in RUNGS},
    }
    return {name: text.body if text else b"" for name, text in texts.items()}


def objects(stage: Stage) -> set[str]:
    """Every object that can be downloaded."""
    assert stage.low_latency is not None
    found = {old.object_name(rung) for old in stage.window.kept for rung in RUNGS}
    return found | set(stage.low_latency.window._objects)
