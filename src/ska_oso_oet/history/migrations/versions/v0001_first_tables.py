"""This step makes the first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "oet_runs",
        sa.Column("epoch", sa.Text, primary_key=True),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.Column("outcome", sa.Text),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("last_procedure_id", sa.BigInteger, nullable=False),
        sa.Column("last_activity_id", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "oet_procedures",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("command_id", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("script", sa.Text, nullable=False),
        sa.Column("subarray_id", sa.BigInteger),
        sa.Column("git_commit", sa.Text),
        sa.Column("environment", sa.Text),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.Column("summary", sa.Text, nullable=False),
    )
    op.create_index("ix_oet_procedures_state", "oet_procedures", ["state", "id"])
    op.create_index("ix_oet_procedures_subarray", "oet_procedures", ["subarray_id", "id"])
    op.create_index("ix_oet_procedures_created", "oet_procedures", ["created"])
    _create_rest()


def _create_rest() -> None:
    op.create_table(
        "oet_activities",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("command_id", sa.Text),
        sa.Column("procedure_id", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("activity_name", sa.Text, nullable=False),
        sa.Column("sbd_id", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.Column("summary", sa.Text, nullable=False),
    )
    op.create_index("ix_oet_activities_state", "oet_activities", ["state", "id"])
    op.create_index("ix_oet_activities_created", "oet_activities", ["created"])
    op.create_table(
        "oet_events",
        sa.Column("epoch", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("procedure_id", sa.BigInteger),
        sa.Column("activity_id", sa.BigInteger),
        sa.Column("state", sa.Text),
    )
    op.create_index("ix_oet_events_procedure", "oet_events", ["procedure_id"])
    op.create_index("ix_oet_events_activity", "oet_events", ["activity_id"])
    op.create_table(
        "oet_output",
        sa.Column("procedure_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_line", sa.BigInteger, nullable=False),
        sa.Column("lines", sa.Text, nullable=False),
    )
    op.create_table(
        "oet_requests",
        sa.Column("command_id", sa.Text, primary_key=True),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("requester", sa.Text),
        sa.Column("time", sa.Double, nullable=False),
    )
    op.create_index("ix_oet_requests_time", "oet_requests", ["time"])
