"""All fuzz targets by name."""

from tests.fuzz import feeds, media, text, wire
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target for target in (*text.TARGETS, *media.TARGETS, *wire.TARGETS, *feeds.TARGETS)
}
