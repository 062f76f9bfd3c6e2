"""The watch page in a real browser: it plays, and a pressed rung comes on screen."""

import json

import pytest

from tests.players import reference as stream
from tests.support.chromium import Chromium, Page, program
from tests.support.page_server import page_server

pytestmark = [
    pytest.mark.players,
    pytest.mark.skipif(program() is None, reason="not installed: chromium"),
]


async def _reads(page: Page, element: str, wanted: str, limit_s: float = 60.0) -> None:
    """Return when `element` has a text that contains `wanted`; the browser watches it."""
    script = f"""new Promise((resolve) => {{
      const element = document.querySelector({json.dumps(element)});
      const look = () => {{
        if (element.textContent.includes({json.dumps(wanted)})) resolve(true);
      }};
      new MutationObserver(look).observe(element, {{
        childList: true, characterData: true, subtree: true,
      }});
      look();
    }})"""
    assert await page.evaluate(script, limit_s)


def _press(*selectors: str) -> str:
    """Script that presses all of these in one turn of the page, before any answer can come."""
    return "; ".join(f"document.querySelector({json.dumps(each)}).click()" for each in selectors)


async def test_plays_and_switches_in_both_modes(reference: stream.Reference) -> None:
    """A rung pressed before the playlist of a mode is there is not lost: it waits for it."""
    async with page_server(reference) as address, Chromium() as browser:
        page = await browser.page()
        await page.open(address)
        await _reads(page, "#state", "Live")
        await _reads(page, "#rung", "360p")
        await page.evaluate(_press("[data-rung='180p']"))
        await _reads(page, "#report", "180p on screen")
        await page.evaluate(_press("[value=player]", "[data-rung='270p']"))
        await _reads(page, "#rung", "270p")
        await page.evaluate(_press("[value=server]", "[data-rung='180p']"))
        await _reads(page, "#report", "180p on screen")
        await _reads(page, "#latency", ".")
        assert float(await page.evaluate("document.querySelector('#latency').value")) < 30
        assert await page.evaluate("document.querySelector('#stalls').value") == "0"
        assert page.complaints == []
