"""What decisions were good for: a verdict, how long before the need, and what was measured."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("decisions", sa.Column("verdict", sa.String(16)))
    op.add_column("decisions", sa.Column("lead_s", sa.Float))
    op.add_column("decisions", sa.Column("facts", sa.JSON))


def downgrade() -> None:
    for column in ("facts", "lead_s", "verdict"):
        op.drop_column("decisions", column)
