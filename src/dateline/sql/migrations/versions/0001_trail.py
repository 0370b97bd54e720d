"""The trail as it began.

Revision ID: 0001
"""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

from dateline.sql.types import Id, Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def tenant() -> sa.Column[str]:
    return sa.Column("tenant", sa.String(200), nullable=False)


def seq() -> sa.Column[int]:
    return sa.Column("seq", BIG, nullable=False)


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    number = sa.Column("seq", BIG, primary_key=True)
    if postgres:
        op.execute("CREATE SEQUENCE dateline_event_seq AS bigint CACHE 1")
        number = sa.Column("seq", BIG, server_default=sa.text("nextval('dateline_event_seq')"), primary_key=True)
    op.create_table(
        "dateline_event",
        number,
        tenant(),
        sa.Column("id", Id(), nullable=False),
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("version", sa.Date),
        sa.Column("shape", sa.Date),
        sa.Column("cascade", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("occurred_at", Instant(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=False),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("cause", Id()),
        sa.Column("root", Id()),
        sa.Column("subjects", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.UniqueConstraint("tenant", "id", name="dateline_event_id"),
    )
    op.create_index("dateline_event_kind", "dateline_event", ["tenant", "kind", "seq"])
    op.create_index("dateline_event_actor", "dateline_event", ["tenant", "actor", "seq"])
    op.create_index("dateline_event_tenant", "dateline_event", ["tenant", "seq"])
    caused = sa.text("cause IS NOT NULL")
    op.create_index(
        "dateline_event_cause", "dateline_event", ["tenant", "cause"], postgresql_where=caused, sqlite_where=caused
    )
    op.create_table(
        "dateline_operation",
        tenant(),
        seq(),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("verb", sa.String(6), nullable=False),
        sa.Column("table_name", sa.String(200), nullable=False),
        sa.Column("row_key", sa.Text, nullable=False),
        sa.Column("declared", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("handler", sa.Text, nullable=False),
        sa.Column("date", sa.String(10), nullable=False),
        sa.Column("merged", sa.Text),
        sa.PrimaryKeyConstraint("tenant", "seq", "ordinal", name="dateline_operation_pkey"),
    )
    op.create_index("dateline_operation_row", "dateline_operation", ["tenant", "table_name", "row_key", "seq"])
    op.create_table(
        "dateline_effect",
        tenant(),
        seq(),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("handler", sa.Text, nullable=False),
        sa.Column("date", sa.String(10), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "seq", "ordinal", name="dateline_effect_pkey"),
    )
    op.create_table(
        "dateline_delivery",
        tenant(),
        seq(),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("lease", Instant()),
        sa.PrimaryKeyConstraint("tenant", "seq", "ordinal", name="dateline_delivery_pkey"),
    )
    op.create_index("dateline_delivery_due", "dateline_delivery", ["state", "due_at", "seq", "ordinal"])
    op.create_table(
        "dateline_attempt",
        tenant(),
        seq(),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("effect", Id(), nullable=False),
        sa.Column("began_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant()),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("detail", sa.Text),
        sa.PrimaryKeyConstraint("tenant", "seq", "ordinal", "number", name="dateline_attempt_pkey"),
    )
    op.create_index("dateline_attempt_effect", "dateline_attempt", ["tenant", "effect"])
    op.create_table(
        "dateline_subject",
        tenant(),
        sa.Column("subject", sa.String(400), nullable=False),
        seq(),
        sa.PrimaryKeyConstraint("tenant", "subject", "seq", name="dateline_subject_pkey"),
    )
    op.create_table(
        "dateline_personal",
        tenant(),
        seq(),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("subject", sa.String(400), nullable=False),
        sa.Column("salt", sa.String(32)),
        sa.Column("value", sa.Text),
        sa.PrimaryKeyConstraint("tenant", "seq", "path", name="dateline_personal_pkey"),
    )
    op.create_index("dateline_personal_subject", "dateline_personal", ["tenant", "subject"])
    op.create_table(
        "dateline_claim",
        tenant(),
        sa.Column("scope", sa.String(40), nullable=False),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("event", Id(), nullable=False),
        sa.Column("salt", sa.LargeBinary(16)),
        sa.Column("request", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "scope", "key", name="dateline_claim_pkey"),
    )
    op.create_table("dateline_pending", sa.Column("seq", BIG, primary_key=True, autoincrement=False), tenant())
    op.create_table(
        "dateline_position",
        sa.Column("position", BIG, primary_key=True, autoincrement=False),
        tenant(),
        seq(),
        sa.UniqueConstraint("seq", name="dateline_position_seq"),
    )
    made = op.create_table(
        "dateline_incarnation",
        sa.Column("id", Id(), primary_key=True),
        sa.Column("began_at", Instant(), nullable=False),
    )
    clock = sa.func.clock_timestamp() if postgres else sa.func.strftime("%Y-%m-%dT%H:%M:%fZ", "now")
    op.get_bind().execute(sa.insert(made).values(id=uuid4(), began_at=clock))
    if postgres:
        # lz4 reads and writes faster than the default; a server built without it keeps the default.
        op.execute(
            "DO $$ BEGIN ALTER TABLE dateline_event ALTER body SET COMPRESSION lz4; "
            "EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN NULL; END $$"
        )


def downgrade() -> None:
    raise NotImplementedError("a trail is never taken down")
