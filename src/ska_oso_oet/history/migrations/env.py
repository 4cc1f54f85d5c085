"""Alembic loads this file: it runs the steps on the connection that `HistoryDatabase.upgrade` has opened."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="oet_history_version")
with context.begin_transaction():
    context.run_migrations()
