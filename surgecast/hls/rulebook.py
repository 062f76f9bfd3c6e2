"""The rules by number: what each looks at, and whether a checker outside can see it.

`evidence` names the looks (counters of a checker) that put a rule to the test; the sum of them is
how often the rule was seen. A rule without evidence is not visible, and `blind_spot` says why; a
rule with both is visible in part. The table in the documentation is made of this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Look(StrEnum):
    """What a checker counts."""

    MULTIVARIANT = "multivariant playlists"
    MEDIA = "media playlists"
    CHANGE = "playlist updates"
    DISCONTINUITY = "discontinuities"
    SESSION = "session playlists"
    SEGMENT = "segments"
    SEQUEL = "segments after another"
    RUNGS = "segments in two variants"
    VARIANTS = "variants compared"
    REMOVED = "removed segments"
    ANSWER = "answers"
    PREFLIGHT = "preflights"
    HEAD = "HEAD requests"
    RANGE = "ranges"
    FUTURE = "future segments"
    LOW_LATENCY = "low-latency playlists"
    PART = "parts"
    REMOVED_PART = "removed parts"
    HINT = "hinted parts"
    BLOCKING = "blocking reloads"
    REFUSED = "directives that must be refused"
    ROLLOVER = "parts past the last"
    GONE = "directives for what is gone"
    DELTA = "delta updates"
    REPORT = "rendition reports"
    ROUND_TRIP = "round trips"
    STEERING = "steering manifests"
    PATHWAY = "steering queries"
    PATHWAY_SEGMENT = "segments of other pathways"
    CMCD = "requests with CMCD"
    CMSD = "answers with CMSD"
    TWIN = "looks at two origins"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the book."""

    title: str
    evidence: tuple[Look, ...]
    blind_spot: str = ""

    @property
    def visible(self) -> str:
        """`yes`, `in part` or `no`."""
        if not self.evidence:
            return "no"
        return "in part" if self.blind_spot else "yes"

    def seen(self, looks: Mapping[str, int]) -> int:
        """How often it was put to the test."""
        return sum(looks.get(look, 0) for look in self.evidence)


_MEDIA = (Look.MEDIA, Look.LOW_LATENCY)

RULES: dict[str, Rule] = {
    "R1": Rule("a number keeps its segment, and its parts", (Look.CHANGE,)),
    "R2": Rule("a segment keeps its discontinuity number", (Look.CHANGE,)),
    "R3": Rule(
        "the session is in the playlist's URL, not in segments; no redirects",
        (Look.SESSION, Look.ANSWER),
    ),
    "R4": Rule("MEDIA-SEQUENCE counts removals, never goes back", (Look.CHANGE,)),
    "R5": Rule("DISCONTINUITY-SEQUENCE is there and counts tags that left", _MEDIA),
    "R6": Rule("only the end grows, only the head shrinks", (Look.CHANGE,)),
    "R7": Rule("TARGETDURATION is constant, and no EXTINF rounds above it", _MEDIA),
    "R8": Rule("it is a playlist; tags once and in order; no PLAYLIST-TYPE live", _MEDIA),
    "R9": Rule("time stamps and counters go on", (Look.SEQUEL,)),
    "R10": Rule("a change of codec, size or tracks has a DISCONTINUITY", (Look.SEQUEL,)),
    "R11": Rule("variants are one encode: aligned, same sound, same profile", (Look.RUNGS,)),
    "R12": Rule("no B-frames", (Look.SEGMENT, Look.PART)),
    "R13": Rule("MPEG-TS playlists have no EXT-X-MAP, and one format", (Look.MEDIA,)),
    "R14": Rule("counters and tables let any rung follow any other", (Look.SEGMENT,)),
    "R15": Rule(
        "every segment starts with an IDR and its parameter sets",
        (Look.SEGMENT, Look.PART),
    ),
    "R16": Rule("no EXT-X-GAP", _MEDIA, "that a missing rung is filled from another"),
    "R17": Rule("time stamps go on after a restart", (Look.DISCONTINUITY,)),
    "R18": Rule("segments are equally long", _MEDIA),
    "R19": Rule("durations add up to the media, within a frame", (Look.SEQUEL, Look.PART)),
    "R20": Rule("an exact date on every segment, going on as EXTINF says", _MEDIA),
    "R21": Rule("a new segment within 1.5 target durations", (Look.CHANGE,)),
    "R22": Rule("six segments, and three target durations, at least", _MEDIA),
    "R23": Rule("a removed segment can still be had for a playlist's length", (Look.REMOVED,)),
    "R24": Rule(
        "what is listed is there, whole, and can be read",
        (Look.SEGMENT, Look.PART, Look.HEAD),
        "delivery at the speed of the link",
    ),
    "R25": Rule("variants agree on dates and discontinuities", (Look.VARIANTS,)),
    "R26": Rule(
        "a variant says what it is, and its peak holds",
        (Look.MULTIVARIANT, Look.SEGMENT),
        "the average of an hour",
    ),
    "R27": Rule("adaptive.m3u8 is one variant, that of the top rung", (Look.SESSION,)),
    "R28": Rule("MIME types", (Look.ANSWER,)),
    "R29": Rule("playlists are compressed where accepted, segments never", (Look.ANSWER,)),
    "R30": Rule("Cache-Control fits the object", (Look.ANSWER,)),
    "R31": Rule("what does not exist yet is a 404 that nobody keeps", (Look.FUTURE,)),
    "R32": Rule("Last-Modified, where sent, is fresh", (Look.ANSWER,)),
    "R33": Rule("any site may read it: CORS, on errors too", (Look.ANSWER, Look.PREFLIGHT)),
    "R34": Rule("ranges of segments", (Look.RANGE,)),
    "R35": Rule("cache keys", (), "the key a relay keeps an answer under is inside the relay"),
    "R36": Rule("_HLS_part without _HLS_msn is 400", (Look.REFUSED,)),
    "R37": Rule("directives too far ahead are 400, at once", (Look.REFUSED, Look.BLOCKING)),
    "R38": Rule("a part past the last is part 0 of the next segment", (Look.ROLLOVER,)),
    "R39": Rule(
        "a blocking reload brings what was asked, or 503",
        (Look.BLOCKING,),
        "503 only where the packager stands still during the check",
    ),
    "R40": Rule(
        "what is gone gets the whole playlist at once",
        (Look.GONE,),
        "after the end only where the stream ends during the check",
    ),
    "R41": Rule("parts last PART-TARGET, 85 % of it at least", (Look.LOW_LATENCY,)),
    "R42": Rule("hold-backs and the skip boundary are far enough", (Look.LOW_LATENCY,)),
    "R43": Rule(
        "one hint, and the next part has its URI",
        (Look.LOW_LATENCY, Look.HINT),
        "a hint of TYPE=MAP: that an initialization section would change is known only after",
    ),
    "R44": Rule(
        "old parts leave the playlist, and their files stay",
        (Look.LOW_LATENCY, Look.REMOVED_PART),
    ),
    "R45": Rule("a hinted part comes when it is whole, in one go", (Look.HINT,)),
    "R46": Rule("a report for every other rendition, within one part", (Look.REPORT,)),
    "R47": Rule("a delta update merges into the whole playlist", (Look.DELTA,)),
    "R48": Rule(
        "HTTP/2 or 3 in front of low latency",
        (Look.LOW_LATENCY,),
        "this checker speaks HTTP/1.1: it can only note that there is no TLS",
    ),
    "R49": Rule("tags of a segment stand before its first part", (Look.LOW_LATENCY,)),
    "R50": Rule(
        "PART-TARGET is not under the round trip",
        (Look.ROUND_TRIP,),
        "the round trip of the viewers; that from here is measured",
    ),
    "R51": Rule("one steering tag; a manifest that players take", (Look.STEERING,)),
    "R52": Rule("the steering server never answers 429", (Look.STEERING,)),
    "R53": Rule("_HLS_pathway with quotes, without, and missing", (Look.PATHWAY,)),
    "R54": Rule(
        "every pathway has the same variants and the same bits",
        (Look.STEERING, Look.PATHWAY_SEGMENT),
        "pathways that are cloned later",
    ),
    "R55": Rule(
        "bad CMCD fails no request",
        (Look.CMCD,),
        "whether what it says is understood",
    ),
    "R56": Rule("CMSD, where sent, in a form players read", (Look.CMSD,)),
    "R57": Rule("two origins agree on every number", (Look.TWIN,)),
    "R58": Rule("EXT-X-VERSION is what the tags need", (*_MEDIA, Look.MULTIVARIANT)),
}


def unseen(looks: Mapping[str, int]) -> dict[str, str]:
    """Rules that these looks never put to the test, each with the reason."""
    return {
        number: "; ".join(f"no {look.value}" for look in rule.evidence) or rule.blind_spot
        for number, rule in RULES.items()
        if not rule.seen(looks)
    }


def table() -> str:
    """The rules as a Markdown table, for the documentation."""
    rows = ["| rule | demands | looked at | visible from outside |", "|---|---|---|---|"]
    for number, rule in RULES.items():
        evidence = ", ".join(look.value for look in rule.evidence) or "nothing"
        spot = f": not {rule.blind_spot}" if rule.evidence and rule.blind_spot else ""
        reason = f": {rule.blind_spot}" if not rule.evidence else spot
        rows.append(f"| {number} | {rule.title} | {evidence} | {rule.visible}{reason} |")
    return "\n".join(rows) + "\n"
