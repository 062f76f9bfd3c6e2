"""The watch page in a real browser: it plays, and a pressed rung comes on screen."""

import json

import pytest

from tests.players import reference as stream
from tests.support.chromium import Chromium, program
from tests.support.page_server import page_server

pytestmark = [
    pytest.mark.players,
    pytest.mark.skipif(program() is None, reason="not installed: chromium"),
]


def _press(*selectors: str) -> str:
    """Script that presses all of these in one turn of the page, before any answer can come."""
    return "; ".join(f"document.querySelector({json.dumps(each)}).click()" for each in selectors)


async def test_plays_and_switches_in_both_modes(reference: stream.Reference) -> None:
    """A rung pressed before the playlist of a mode is there is not lost: it waits for it."""
    async with page_server(reference) as address, Chromium() as browser:
        page = await browser.page()
        await page.open(address)
        await page.reads("#state", "Live")
        await page.reads("#rung", "360p")
        await page.reads("#server", address.split("/")[2])
        await page.evaluate(_press("[data-rung='180p']"))
        await page.reads("#report", "180p on screen")
        await page.evaluate(_press("[value=player]", "[data-rung='270p']"))
        await page.reads("#rung", "270p")
        await page.evaluate(_press("[value=server]", "[data-rung='180p']"))
        await page.reads("#report", "180p on screen")
        await page.reads("#latency", ".")
        assert float(await page.evaluate("document.querySelector('#latency').value")) < 30
        assert await page.evaluate("document.querySelector('#stalls').value") == "0"
        assert page.complaints == []
