"""Alembic's entry: runs the migrations over the connection that database.py (or the developer's command line) gives.

``alembic revision --autogenerate -m why`` in the project writes the next one; database.py applies them.
"""

from __future__ import annotations

from alembic import context

from pipelines import settings
from pipelines.storage.database import Database
from pipelines.storage.tables import Base


def run() -> None:
    connection = context.config.attributes.get("connection")
    if connection is not None:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()
        return
    with Database(settings.load()).engine.connect() as own, own.begin():
        context.configure(connection=own, target_metadata=Base.metadata)
        context.run_migrations()


run()
