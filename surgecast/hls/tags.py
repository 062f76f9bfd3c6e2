"""The lines of a playlist, with their numbers: where a rule points when it is broken.

What the tags mean is `surgecast.hls.parse`'s; here they are only found, and never refused: a
checker must be able to point at a line that no parser would take.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

_ATTRIBUTE = re.compile(r'\s*([A-Z0-9-]+)\s*=\s*("[^"]*"|[^,]*)')


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a playlist, counted from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Tag:
    """A line that begins with `#EXT`."""

    name: str
    """With its `#`, as in `#EXTINF`."""
    value: str
    """What follows the colon; empty where there is none."""
    line: Line

    @property
    def attributes(self) -> Mapping[str, str]:
        """The attribute list of RFC 8216 section 4.2, quotes removed."""
        return {name: text.strip('"') for name, text in _ATTRIBUTE.findall(self.value)}


@dataclass(frozen=True, slots=True)
class Lines:
    """A playlist as its tags and URIs."""

    tags: tuple[Tag, ...]
    uris: tuple[Line, ...]
    groups: tuple[tuple[Tag, ...], ...]
    """The tags before each URI and, as the last group, those after the last URI. The first group
    holds the playlist's own tags too."""

    def all(self, name: str) -> Sequence[Tag]:
        return [tag for tag in self.tags if tag.name == name]

    def first(self, name: str) -> Tag | None:
        return next((tag for tag in self.tags if tag.name == name), None)

    def line(self, name: str) -> Line | None:
        """Where a tag of this name first stands."""
        tag = self.first(name)
        return tag.line if tag else None

    def segment(self, place: int, name: str = "") -> Line | None:
        """The line of the named tag of a listed segment, or of its URI where it has no such tag."""
        if not 0 <= place < len(self.uris):
            return None
        found = (tag.line for tag in self.groups[place] if tag.name == name)
        return next(found, self.uris[place])


@lru_cache(maxsize=64)
def read_lines(text: str) -> Lines:
    """The lines of a playlist."""
    groups: list[list[Tag]] = [[]]
    uris: list[Line] = []
    for line in _lines(text):
        if line.text.startswith("#"):
            if line.text.startswith("#EXT"):
                name, _, value = line.text.partition(":")
                groups[-1].append(Tag(name.rstrip(), value.strip(), line))
        else:
            uris.append(line)
            groups.append([])
    tags = tuple(tag for group in groups for tag in group)
    return Lines(tags, tuple(uris), tuple(map(tuple, groups)))


def _lines(text: str) -> Iterator[Line]:
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if stripped := raw.strip():
            yield Line(number, stripped)
