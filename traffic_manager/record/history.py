"""What the manager remembers on disk: decisions and what came of them, demand, what happened.

SQLite by default, PostgreSQL by URL; the tables are made and changed by the migrations beside this
module. Everything here blocks: `recorder` calls it from a thread of its own. Streaming does not
depend on it, and neither does a decision; what cannot be written is counted and left out.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from surgecast.errors import LocalError
from traffic_manager.record.following import FOLLOWED
from traffic_manager.record.records import (
    DecisionRecord,
    DemandRecord,
    Incident,
    Outcome,
    Record,
    SampleRecord,
)

MIGRATIONS = Path(__file__).parent / "migrations"
ROWS_MAX = 10_000
"""Rows of one answer."""

metadata = sa.MetaData()

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("at_utc", sa.Float, nullable=False, index=True),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("region", sa.String(64), nullable=False),
    sa.Column("server", sa.String(64), nullable=False),
    sa.Column("channel", sa.String(64), nullable=False),
    sa.Column("rule", sa.String(64), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("expected", sa.Text, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("rung", sa.String(64)),
    sa.Column("budget_bps", sa.Float),
    sa.Column("inputs", sa.JSON, nullable=False),
    sa.Column("quantiles", sa.JSON, nullable=False),
    sa.Column("shadow", sa.Boolean, nullable=False),
    sa.Column("outcome", sa.Text),
    sa.Column("outcome_at_utc", sa.Float),
    sa.Column("verdict", sa.String(16)),
    sa.Column("lead_s", sa.Float),
    sa.Column("facts", sa.JSON),
)
demand = sa.Table(
    "demand",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at_utc", sa.Float, nullable=False, index=True),
    sa.Column("region", sa.String(64), nullable=False),
    sa.Column("channel", sa.String(64), nullable=False),
    sa.Column("viewers", sa.BigInteger, nullable=False),
    sa.Column("joins_per_s", sa.Float, nullable=False),
    sa.Column("egress_bps", sa.Float, nullable=False),
    sa.Column("wanted_bps", sa.Float, nullable=False),
)
incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at_utc", sa.Float, nullable=False, index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("server", sa.String(64), nullable=False),
    sa.Column("region", sa.String(64), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
transcode_samples = sa.Table(
    "transcode_samples",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at_utc", sa.Float, nullable=False, index=True),
    sa.Column("worker", sa.String(64), nullable=False),
    sa.Column("cores", sa.Float, nullable=False),
    sa.Column("cpu_model", sa.String(128), nullable=False),
    sa.Column("speed_min", sa.Float, nullable=False),
    sa.Column("cpu_cores", sa.Float, nullable=False),
    sa.Column("constant_s", sa.Float, nullable=False),
    sa.Column("tasks", sa.JSON, nullable=False),
)
_TABLES = (decisions, demand, incidents, transcode_samples)


class History:
    """A database that is up to date with the migrations. Every method raises LocalError."""

    def __init__(self, url: str) -> None:
        """Connects, and brings the tables up to date."""
        with _told():
            where = sa.make_url(url)
            if where.get_backend_name() == "sqlite" and where.database not in (
                None,
                "",
                ":memory:",
            ):
                Path(str(where.database)).parent.mkdir(parents=True, exist_ok=True)
            self._engine = _engine(where)
            migrate(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def write(self, records: Sequence[Record]) -> None:
        """All of them, or none."""
        rows: dict[sa.Table, list[dict[str, Any]]] = {table: [] for table in _TABLES}
        with _told(), self._engine.begin() as connection:
            for record in records:
                match record:
                    case DecisionRecord():
                        rows[decisions].append(asdict(record))
                    case DemandRecord():
                        rows[demand].append(asdict(record))
                    case Incident():
                        rows[incidents].append(asdict(record))
                    case SampleRecord():
                        rows[transcode_samples].append(asdict(record))
            for table, values in rows.items():
                if values:
                    connection.execute(sa.insert(table), values)
            for record in records:
                if isinstance(record, Outcome):
                    changed = sa.update(decisions).where(decisions.c.id == record.decision)
                    connection.execute(changed.values(**_came_of_it(record)))

    def close_open(self, boot: str, utc: float) -> int:
        """Decisions that nobody follows any more get their verdict: those of managers before this
        one, `boot`, which ended without a word. How many there were."""
        why = sa.literal("the manager that made it ended without judging it")
        said = decisions.c.outcome
        whole = sa.case((said.is_(None), why), else_=why + "; " + said)
        nobodys = sa.update(decisions).where(
            decisions.c.verdict.is_(None),
            decisions.c.action.in_(FOLLOWED),
            ~decisions.c.id.startswith(f"{boot}-", autoescape=True),
        )
        with _told(), self._engine.begin() as connection:
            values = {"verdict": "unknown", "outcome": whole, "outcome_at_utc": utc}
            return connection.execute(nobodys.values(values)).rowcount

    def prune(self, before_utc: float) -> int:
        """Forget what is older; how many rows that were."""
        with _told(), self._engine.begin() as connection:
            return sum(
                connection.execute(sa.delete(table).where(table.c.at_utc < before_utc)).rowcount
                for table in _TABLES
            )

    def decisions(self, after_utc: float = 0.0, limit: int = 1000) -> list[dict[str, Any]]:
        """Those made after a moment, oldest first."""
        return [_whole(row) for row in self._rows(decisions, after_utc, limit)]

    def decision(self, number: str) -> dict[str, Any] | None:
        """One of them, whoever made it; None for an id that is not there."""
        query = sa.select(decisions).where(decisions.c.id == number)
        with _told(), self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _whole(dict(row._mapping))

    def last_decisions(self, limit: int) -> list[dict[str, Any]]:
        """The newest ones, oldest first."""
        order = (decisions.c.at_utc.desc(), decisions.c.id.desc())
        query = sa.select(decisions).order_by(*order).limit(max(0, min(limit, ROWS_MAX)))
        with _told(), self._engine.connect() as connection:
            rows = [_whole(dict(row._mapping)) for row in connection.execute(query)]
        return rows[::-1]

    def incidents(self, after_utc: float = 0.0, limit: int = 1000) -> list[dict[str, Any]]:
        return self._rows(incidents, after_utc, limit)

    def demand(
        self, after_utc: float = 0.0, limit: int = ROWS_MAX, region: str | None = None
    ) -> list[dict[str, Any]]:
        """Demand since a moment, oldest first: what forecasters learn from."""
        where = () if region is None else (demand.c.region == region,)
        return self._rows(demand, after_utc, limit, *where)

    def samples(self, after_utc: float = 0.0) -> list[dict[str, Any]]:
        """What workers did with their tasks, oldest first: at most `ROWS_MAX`."""
        return self._rows(transcode_samples, after_utc, ROWS_MAX)

    def last_samples(self, limit: int) -> list[dict[str, Any]]:
        """The newest ones, oldest first: what a new manager learns from."""
        order = (transcode_samples.c.at_utc.desc(), transcode_samples.c.id.desc())
        query = sa.select(transcode_samples).order_by(*order).limit(max(0, min(limit, ROWS_MAX)))
        with _told(), self._engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(query)][::-1]

    def _rows(
        self, table: sa.Table, after_utc: float, limit: int, *where: sa.ColumnElement[bool]
    ) -> list[dict[str, Any]]:
        query = (
            sa.select(table)
            .where(table.c.at_utc > after_utc, *where)
            .order_by(table.c.at_utc, table.c.id)
            .limit(max(0, min(limit, ROWS_MAX)))
        )
        with _told(), self._engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(query)]


def _came_of_it(outcome: Outcome) -> dict[str, Any]:
    """Columns of the decision; a verdict that was given stays."""
    values: dict[str, Any] = {"outcome": outcome.text, "outcome_at_utc": outcome.at_utc}
    if outcome.verdict is not None:
        values |= {
            "verdict": outcome.verdict,
            "lead_s": outcome.lead_s,
            "facts": dict(outcome.facts),
        }
    return values


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    """A row from before there were facts has none."""
    return row | {"facts": row["facts"] or {}}


def migrate(engine: Engine, to: str = "head") -> None:
    """Bring the tables of a database up to date; a new one gets them all."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # two lines that tell nobody anything
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def _engine(url: sa.URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        return sa.create_engine(url, connect_args={"timeout": 5})
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return sa.create_engine(
        url, pool_pre_ping=True, pool_size=2, connect_args={"connect_timeout": 5}
    )


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the database as one sentence, without the statement and its values."""
    try:
        yield
    except (SQLAlchemyError, OSError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()
        text = reason[0] if reason else type(error).__name__
        raise LocalError(f"the history cannot be used: {text}") from error
