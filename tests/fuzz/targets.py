"""All fuzz targets by name."""

from tests.fuzz import feeds, media, pushed, text, wire
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (text, media, wire, feeds, pushed)
    for target in module.TARGETS
}
