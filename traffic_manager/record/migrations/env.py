"""How alembic reaches the database: by the connection it is given, or by `-x url=...`."""

import sqlalchemy as sa
from alembic import context

from traffic_manager.record.history import metadata


def _run(connection: sa.Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


_given = context.config.attributes.get("connection")
if _given is not None:
    _run(_given)
else:
    with sa.create_engine(context.get_x_argument(as_dictionary=True)["url"]).begin() as _made:
        _run(_made)
