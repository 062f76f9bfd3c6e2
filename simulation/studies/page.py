"""An outcome as one HTML file that needs nothing else: sentences, pictures, tables."""

from collections.abc import Sequence
from html import escape

from simulation.studies import tables
from simulation.studies.difference import Pair
from simulation.studies.outcome import Outcome
from simulation.studies.tables import MEASURES_SHOWN, Cell

_CSS = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em;
       color: #222; background: #fff }
table { border-collapse: collapse; margin: 1.5em 0 }
caption { text-align: left; font-weight: bold; padding: .3em 0 }
th, td { padding: .25em .9em; text-align: right; border-bottom: 1px solid #e5e5e5;
         font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left }
.good { color: #067a46; font-weight: bold } .bad { color: #b3261e }
svg { width: 100%; height: auto }
"""


def page(outcome: Outcome, pictures: Sequence[str], pairs: Sequence[Pair] = ()) -> str:
    """`pictures` are SVG."""
    head = ["", *outcome.policies]
    parts = [
        f"<h1>{escape(outcome.name)}</h1>",
        f"<p>{escape(outcome.about)}</p>" if outcome.about else "",
        "".join(f"<p>{escape(sentence)}</p>" for sentence in tables.verdicts(outcome)),
        *pictures[:1],
        _table(tables.title_of(outcome), head, tables.rows_of(outcome)),
        *pictures[1:],
        *(_difference(pair) for pair in pairs),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(outcome.name)}</title><style>{_CSS}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _difference(pair: Pair) -> str:
    rows = []
    for measure, shown in MEASURES_SHOWN.items():
        change = pair.changes[measure]
        both = [
            Cell(tables.number_text(value, shown.digits)) for value in (change.here, change.there)
        ]
        rows.append((shown.title, [*both, tables.gap_cell(change, shown)]))
    return _table(pair.name, ["", "this", "against", "difference"], rows)


def _table(title: str, head: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]]) -> str:
    heads = "".join(f"<th>{escape(word)}</th>" for word in head)
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(map(_cell, cells))}</tr>" for name, cells in rows
    )
    return f"<table><caption>{escape(title)}</caption><tr>{heads}</tr>{body}</table>"


def _cell(cell: Cell) -> str:
    mark = ' class="good"' if cell.good else ' class="bad"' if cell.bad else ""
    return f"<td{mark}>{escape(cell.text)}</td>"
