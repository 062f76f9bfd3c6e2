"""`surgecast segment --signature -c channel.yaml`: what a channel will cost is predicted from this.

Prints a `Signature` as JSON. The manager's `surgecast place` reads it; it knows no sources itself.
"""

from pathlib import Path

from pydantic import ConfigDict

from segmenter.settings import SegmentSettings, is_fed
from segmenter.signature import signature_of
from segmenter.source import SourceOpener
from segmenter.status import Status
from segmenter.worker.complexity import probe_complexity
from segmenter.worker.settings import ComplexitySettings
from surgecast.clock import RealClock
from surgecast.config import load
from surgecast.control.messages import Complexity, Signature
from surgecast.errors import ConfigError
from surgecast.log import Log


class ChannelFile(SegmentSettings):
    """A channel as in the YAML of an origin, of which only what is encoded counts here."""

    model_config = ConfigDict(extra="ignore")


async def signature_in(path: Path, ffmpeg: str) -> Signature:
    """The signature of the channel in a file; its source is looked at where FFmpeg opens it.

    Raises ConfigError for a file that is none, and for a ladder that depends on a source which has
    to connect first; RemoteError for a source that cannot be read.
    """
    settings = load(path, ChannelFile)
    info = None
    complexity: Complexity | None = None
    if not is_fed(settings.source):
        info = await SourceOpener(
            settings.source,
            ffmpeg=ffmpeg,
            feed=None,
            status=Status(),
            clock=RealClock(),
            log=Log("segmenter"),
        ).look()
        bounds = ComplexitySettings()
        complexity = await probe_complexity(
            *(ffmpeg, settings.source, info), seconds=bounds.seconds, timeout_s=bounds.timeout_s
        )
    found = signature_of(settings, info, complexity=complexity)
    if found is None:
        raise ConfigError(
            f"{path}: ladder.rungs: auto depends on a {settings.source.kind} source, which has to "
            "connect first; write the rungs and ladder.frame_rate to know the cost before"
        )
    return found
