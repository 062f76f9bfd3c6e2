"""One HTML page with all that was found; it needs no other file. Pure."""

import base64
from collections.abc import Sequence
from html import escape

from simulation.backtest.plots import Pictures
from simulation.backtest.report import alarm_rows, cost_rows, heading_lines, score_rows
from simulation.backtest.study import Outcome

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1a1a; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
th { font-weight: 600 }
th:first-child, td:first-child { text-align: left }
img { max-width: 100%; height: auto; display: block; margin: 1rem 0 }
p { margin: .2rem 0; color: #555 }
"""
_TOLD = {
    "trace": "What came in the steepest hours, and what had been said of it.",
    "errors": "Mean absolute error by horizon.",
    "calibration": "Share of what came at or below each quantile.",
    "leads": "How long before a crossing there was an alarm.",
    "relays": "Relays that serve, against those that are needed.",
}


def as_html(outcomes: Sequence[Outcome], pictures: Sequence[Pictures]) -> str:
    """Tables and pictures of every trace."""
    title = "surgecast backtest: " + ", ".join(outcome.trace.name for outcome in outcomes)
    parts = [_section(*pair) for pair in zip(outcomes, pictures, strict=True)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{''.join(parts)}</body></html>\n"
    )


def _section(outcome: Outcome, pictures: Pictures) -> str:
    told = "".join(f"<p>{escape(line)}</p>\n" for line in heading_lines(outcome))
    tables = [_table(*score_rows(outcome))]
    if outcome.reactive_alarms.crossings:
        tables.append(_table(*alarm_rows(outcome)))
    tables.append(_table(*cost_rows(outcome)))
    images = [_image(_TOLD[name], png) for name, png in pictures.items()]
    name = escape(outcome.trace.name)
    return f"<h2>{name}</h2>\n{told}{''.join(tables)}{''.join(images)}"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>\n"


def _image(alternative: str, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    return f'<img alt="{escape(alternative)}" src="data:image/png;base64,{data}">\n'
