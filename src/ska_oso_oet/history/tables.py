"""The tables of the history are described here as the newest migration leaves them.

Times are seconds since 1970. Whole summaries are kept as the JSON in ASCII that clients get. A field
that is searched by has a column of its own.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

METADATA: Final = sa.MetaData()

RUNS: Final = sa.Table(
    "oet_runs",
    METADATA,
    sa.Column("epoch", sa.Text, primary_key=True),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("ended", sa.Double),
    sa.Column("outcome", sa.Text),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("last_procedure_id", sa.BigInteger, nullable=False),
    sa.Column("last_activity_id", sa.BigInteger, nullable=False),
)
"""The controller's runs. `outcome` is stopped or lost, and null while one lasts."""

PROCEDURES: Final = sa.Table(
    "oet_procedures",
    METADATA,
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
    sa.Index("ix_oet_procedures_state", "state", "id"),
    sa.Index("ix_oet_procedures_created", "created"),
)

SUBARRAYS: Final = sa.Table(
    "oet_procedure_subarrays",
    METADATA,
    sa.Column("subarray_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("procedure_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Index("ix_oet_procedure_subarrays_procedure", "procedure_id"),
)
"""All subarrays that a procedure was for; the column `subarray_id` of its own row has the first."""

ACTIVITIES: Final = sa.Table(
    "oet_activities",
    METADATA,
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
    sa.Index("ix_oet_activities_state", "state", "id"),
    sa.Index("ix_oet_activities_created", "created"),
)

EVENTS: Final = sa.Table(
    "oet_events",
    METADATA,
    sa.Column("epoch", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text),
    sa.Column("procedure_id", sa.BigInteger),
    sa.Column("activity_id", sa.BigInteger),
    sa.Column("state", sa.Text),
    sa.Index("ix_oet_events_procedure", "procedure_id"),
    sa.Index("ix_oet_events_activity", "activity_id"),
)

OUTPUT: Final = sa.Table(
    "oet_output",
    METADATA,
    sa.Column("procedure_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last_line", sa.BigInteger, nullable=False),
    sa.Column("lines", sa.Text, nullable=False),
)
"""The newest lines that a procedure wrote, as a JSON list of what GetOutput returns."""

REQUESTS: Final = sa.Table(
    "oet_requests",
    METADATA,
    sa.Column("command_id", sa.Text, primary_key=True),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("requester", sa.Text),
    sa.Column("time", sa.Double, nullable=False),
    sa.Index("ix_oet_requests_time", "time"),
)
"""Who asked for what: the commands that procedures and activities name by their `command_id`."""
