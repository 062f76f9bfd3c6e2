"""The book has every rule, and says how each is seen or why it cannot be."""

import re
from pathlib import Path

from surgecast.hls import rulebook
from surgecast.hls.rulebook import RULES, Look, unseen

SOURCES = Path(rulebook.__file__).parent


def test_every_rule_has_its_page() -> None:
    assert list(RULES) == [f"R{number}" for number in range(1, 59)]


def test_a_rule_has_evidence_or_a_reason_why_there_is_none() -> None:
    for number, rule in RULES.items():
        assert rule.evidence or rule.blind_spot, number
    assert [number for number, rule in RULES.items() if rule.visible == "no"] == ["R35"]


def test_every_visible_rule_is_written_down_in_code() -> None:
    """What the book says can be seen, some function finds."""
    code = "".join(path.read_text() for path in SOURCES.glob("rules*.py"))
    found = set(re.findall(r'"(R\d+)"', code))
    assert {number for number, rule in RULES.items() if rule.evidence} == found


def test_what_was_not_looked_at_is_told() -> None:
    looks = {look.value: 1 for look in Look}
    assert set(unseen(looks)) == {"R35"}
    assert unseen({})["R36"] == "no directives that must be refused"
    assert set(unseen({Look.DELTA.value: 3})) == set(RULES) - {"R47"}
    assert RULES["R47"].seen({Look.DELTA.value: 3}) == 3
