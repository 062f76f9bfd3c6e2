"""Decisions, demand and incidents."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at_utc", sa.Float, nullable=False),
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
    )
    op.create_table(
        "demand",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at_utc", sa.Float, nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("viewers", sa.BigInteger, nullable=False),
        sa.Column("joins_per_s", sa.Float, nullable=False),
        sa.Column("egress_bps", sa.Float, nullable=False),
        sa.Column("wanted_bps", sa.Float, nullable=False),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at_utc", sa.Float, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("server", sa.String(64), nullable=False),
        sa.Column("region", sa.String(64), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    for table in ("decisions", "demand", "incidents"):
        op.create_index(f"ix_{table}_at_utc", table, ["at_utc"])


def downgrade() -> None:
    for table in ("incidents", "demand", "decisions"):
        op.drop_table(table)
