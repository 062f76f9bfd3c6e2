"""What a check says in the end: for people as a table, for machines as one JSON object."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Group
from rich.table import Table
from rich.text import Text

from surgecast.hls.observation import Finding, Severity
from surgecast.hls.rulebook import RULES, unseen

SHOWN_MAX = 5
"""Findings of one rule that the table shows; `--json` has them all."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was looked at and what was found; no findings on few looks mean little."""

    url: str
    seconds: float
    found: Mapping[Finding, int]
    """How often each was found."""
    looks: Mapping[str, int] = field(default_factory=dict)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Violations alone."""
        return self.of(Severity.ERROR)

    @property
    def clean(self) -> bool:
        return not self.findings

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.found if finding.severity is severity)

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        broken = Counter(finding.rule for finding in self.findings)
        return {
            "url": self.url,
            "seconds": round(self.seconds, 3),
            "violations": len(self.findings),
            "warnings": len(self.of(Severity.WARNING)),
            "notes": len(self.of(Severity.NOTE)),
            "findings": [_plain(finding, times) for finding, times in self.found.items()],
            "rules": {
                number: {"seen": rule.seen(self.looks), "violations": broken[number]}
                for number, rule in RULES.items()
            },
            "not_seen": unseen(self.looks),
            "looks": dict(self.looks),
        }

    def table(self) -> Group:
        """For a terminal."""
        pieces = [_headline(self), _findings(self)] if self.found else [_headline(self)]
        return Group(*pieces, _coverage(self))


def _plain(finding: Finding, times: int) -> dict[str, object]:
    line = finding.line
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "url": finding.where,
        "line": {"number": line.number, "text": line.text} if line else None,
        "what": finding.what,
        "times": times,
    }


def _headline(report: CheckReport) -> Text:
    counts = f"{len(report.findings)} violations, {len(report.of(Severity.WARNING))} warnings"
    return Text(f"{report.url}: {counts} in {report.seconds:.0f} s")


def _findings(report: CheckReport) -> Table:
    table = Table("rule", "severity", "where", "what")
    by_rule: dict[str, list[Finding]] = {}
    for finding in report.found:
        by_rule.setdefault(finding.rule, []).append(finding)
    for rule, found in by_rule.items():
        for finding in found[:SHOWN_MAX]:
            table.add_row(rule, finding.severity.value, Text(_where(finding)), Text(finding.what))
        if len(found) > SHOWN_MAX:
            table.add_row(rule, "", "", f"and {len(found) - SHOWN_MAX} more")
    return table


def _where(finding: Finding) -> str:
    if finding.line is None:
        return finding.where
    return f"{finding.where}\nline {finding.line.number}: {finding.line.text}"


def _coverage(report: CheckReport) -> Text:
    """How often each rule was put to the test, and why some were not."""
    seen = {number: rule.seen(report.looks) for number, rule in RULES.items()}
    counts = ", ".join(f"{number} {count} x" for number, count in seen.items() if count)
    lines = [f"seen: {counts}", "not seen:"]
    reasons: dict[str, list[str]] = {}
    for number, why in unseen(report.looks).items():
        reasons.setdefault(why, []).append(number)
    lines += [f"  {', '.join(numbers)}: {why}" for why, numbers in reasons.items()]
    return Text("\n".join(lines))
