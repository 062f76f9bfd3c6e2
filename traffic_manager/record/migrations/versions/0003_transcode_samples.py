"""What workers did with their tasks: samples that transcode costs are learned from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "transcode_samples",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at_utc", sa.Float, nullable=False),
        sa.Column("worker", sa.String(64), nullable=False),
        sa.Column("cores", sa.Float, nullable=False),
        sa.Column("cpu_model", sa.String(128), nullable=False),
        sa.Column("speed_min", sa.Float, nullable=False),
        sa.Column("cpu_cores", sa.Float, nullable=False),
        sa.Column("constant_s", sa.Float, nullable=False),
        sa.Column("tasks", sa.JSON, nullable=False),
    )
    op.create_index("ix_transcode_samples_at_utc", "transcode_samples", ["at_utc"])


def downgrade() -> None:
    op.drop_table("transcode_samples")
