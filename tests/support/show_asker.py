"""A checker's requests, answered by a `Show` in virtual time: no sockets, no waiting."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from player.checking.check import check_with
from player.checking.report import CheckReport
from surgecast.clock import ManualClock
from surgecast.hls.observation import Kind, Response
from tests.support.show_model import BASE, Asked, Later, Show
from tests.support.virtual_time import VirtualTime


class ShowAsker:
    """An `Asker` (`player.checking.probe`). Requests below another host go to that host's show."""

    def __init__(self, shows: Mapping[str, Show], clock: ManualClock, time: VirtualTime) -> None:
        self._shows = shows
        self._clock = clock
        self._time = time

    async def get(self, url: str, kind: Kind, *, gzip: bool = False) -> Response:
        return await self.ask("GET", url, kind, {"Accept-Encoding": "gzip"} if gzip else None)

    async def ask(
        self,
        method: str,
        url: str,
        kind: Kind,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
    ) -> Response:
        asked_at = self._clock.now()
        place = urlsplit(url)
        path = place.path.removeprefix(urlsplit(BASE).path)
        names = {name.lower(): value for name, value in (headers or {}).items()}
        asked = Asked(method, path, dict(parse_qsl(place.query)), names)
        show = self._shows[place.netloc]
        answer = show.reply(asked, asked_at)
        while isinstance(answer, Later):
            await self._time.sleep(answer.at - self._clock.now())
            answer = show.reply(asked, self._clock.now())
        began_at = self._clock.now()
        if answer.trickle_s:
            await self._time.sleep(answer.trickle_s)
        return Response(
            url,
            kind,
            answer.status,
            answer.headers,
            answer.body,
            self._clock.now(),
            method=method,
            asked_at=asked_at,
            began_at=began_at,
        )


async def checked(
    show: Show, seconds: float, *, twin: Show | None = None, beside: bool = True
) -> CheckReport:
    """A whole check of a show, from its first second on."""
    clock = ManualClock()
    time = VirtualTime(clock)
    shows = {"origin.test": show, "twin.test": twin or show}
    twin_url = show.url.replace("origin.test", "twin.test") if twin else None
    asker = ShowAsker(shows, clock, time)
    work = check_with(
        asker, show.url, seconds, clock, beside=beside, twin_url=twin_url, sleep=time.sleep
    )
    return await time.run(work)
