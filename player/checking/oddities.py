"""The requests of a check that no player makes: HEAD, OPTIONS, ranges, what is not there, bad CMCD.

Each is made once per media playlist.
"""

import re
from urllib.parse import urljoin

from player.checking.follow import Tools
from player.checking.probe import PREFLIGHT
from surgecast.hls import rules_http as http
from surgecast.hls import ts
from surgecast.hls.observation import Kind, MediaView
from surgecast.hls.rulebook import Look

FUTURE = 1000
"""How many segments ahead the probe for a future segment asks."""
BAD_CMCD = {
    "a CMCD query that cannot be read": ("?CMCD=%ff%3D%3B%22", {}),
    "CMCD keys nobody knows": ("?CMCD=zz%3D1%2Cbl%3D%28x%29%2Cbr%3D-%2Cv%3D2", {}),
    "CMCD headers that cannot be read": (
        "",
        {
            "CMCD-Request": ';="(bl=,',
            "CMCD-Object": "br=()",
            "CMCD-Session": "sid=",
            "CMCD-Status": ",",
        },
    ),
}


async def ask_oddities(view: MediaView, kind: Kind, tools: Tools) -> None:
    """All of them, for a playlist that was just seen."""
    last = view.playlist.segments[-1]
    url = urljoin(view.url, last.uri)
    await _playlist(view.url, kind, tools)
    await _segment(url, tools)
    await _future(future_url(url, view.playlist.next_msn - 1), view, tools)
    for wanted, wanted_kind in ((view.url, kind), (url, Kind.SEGMENT)):
        await _cmcd(wanted, wanted_kind, tools)


async def _playlist(url: str, kind: Kind, tools: Tools) -> None:
    ask, notebook = tools.asker.ask, tools.notebook
    plain = await tools.asker.get(url, kind)
    notebook.add(http.check_plain(plain))
    head = await ask("HEAD", url, kind)
    notebook.round_trip(head.waited_s)
    notebook.add(http.check_head(head, plain))
    notebook.add(http.check_options(await ask("OPTIONS", url, kind, PREFLIGHT)))
    notebook.count(Look.ANSWER, Look.HEAD, Look.PREFLIGHT)


async def _segment(url: str, tools: Tools) -> None:
    ask, notebook = tools.asker.ask, tools.notebook
    whole = await tools.asker.get(url, Kind.SEGMENT)
    head = await ask("HEAD", url, Kind.SEGMENT)
    notebook.round_trip(head.waited_s)
    notebook.add(http.check_head(head, whole))
    notebook.add(http.check_options(await ask("OPTIONS", url, Kind.SEGMENT, PREFLIGHT)))
    first, end = ts.PACKET_BYTES, 3 * ts.PACKET_BYTES - 1
    part = await ask("GET", url, Kind.SEGMENT, {"Range": f"bytes={first}-{end}"})
    notebook.add(http.check_range(part, whole.body, first, end))
    size = len(whole.body)
    beyond = await ask("GET", url, Kind.SEGMENT, {"Range": f"bytes={size + 10}-"})
    notebook.add(http.check_range_beyond(beyond, size))
    notebook.count(Look.HEAD, Look.PREFLIGHT, Look.RANGE, Look.RANGE)


async def _future(url: str, view: MediaView, tools: Tools) -> None:
    absent = await tools.asker.ask("GET", url, Kind.SEGMENT)
    tools.notebook.add(http.check_future(absent, view.playlist.target_duration_s))
    tools.notebook.count(Look.FUTURE)


async def _cmcd(url: str, kind: Kind, tools: Tools) -> None:
    plain = await tools.asker.get(url, kind)
    for how, (query, headers) in BAD_CMCD.items():
        added = query.replace("?", "&") if "?" in url else query
        marked = await tools.asker.ask("GET", url + added, kind, headers)
        tools.notebook.add(http.check_cmcd(plain, marked, how))
        tools.notebook.count(Look.CMCD)


def future_url(url: str, msn: int) -> str:
    """The name a segment far ahead will have: the number of the last one, replaced."""
    folder, _, name = url.rpartition("/")
    ahead = re.sub(rf"(?<!\d){msn}(?!\d)", str(msn + FUTURE), name)
    return f"{folder}/{ahead if ahead != name else 'future-' + name}"
