"""What deliveries need: lanes, when a try began, and a place in the feed for what becomes of an effect.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

from dateline.sql.types import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def upgrade() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    op.add_column("dateline_delivery", sa.Column("lane", sa.Text()))
    op.add_column("dateline_delivery", sa.Column("began_at", Instant()))
    op.drop_column("dateline_delivery", "lease")
    op.create_index(
        "dateline_delivery_lane",
        "dateline_delivery",
        ["tenant", "lane", "seq", "ordinal"],
        postgresql_where=sa.text("lane IS NOT NULL"),
        sqlite_where=sa.text("lane IS NOT NULL"),
    )
    number = sa.Column("number", BIG, primary_key=True)
    if postgres:
        number = sa.Column("number", BIG, server_default=sa.text("nextval('dateline_event_seq')"), primary_key=True)
    op.create_table(
        "dateline_change",
        number,
        sa.Column("tenant", sa.String(200), nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("detail", sa.Text()),
    )
    op.create_index("dateline_change_effect", "dateline_change", ["tenant", "seq", "ordinal"])
    op.add_column("dateline_pending", sa.Column("of", BIG))
    if postgres:
        op.add_column("dateline_position", sa.Column("change", BIG, nullable=False, server_default=sa.text("0")))
        op.drop_constraint("dateline_position_seq", "dateline_position")
        op.create_unique_constraint("dateline_position_seq", "dateline_position", ["seq", "change"])
    else:
        # SQLite changes no constraint, and nothing stands in the table: until now the number was the position.
        op.drop_table("dateline_position")
        op.create_table(
            "dateline_position",
            sa.Column("position", BIG, primary_key=True, autoincrement=False),
            sa.Column("tenant", sa.String(200), nullable=False),
            sa.Column("seq", BIG, nullable=False),
            sa.Column("change", BIG, nullable=False, server_default=sa.text("0")),
            sa.UniqueConstraint("seq", "change", name="dateline_position_seq"),
        )
    op.create_index("dateline_position_tenant", "dateline_position", ["tenant", "position"])
    op.create_index(
        "dateline_position_change",
        "dateline_position",
        ["change"],
        postgresql_where=sa.text("change > 0"),
        sqlite_where=sa.text("change > 0"),
    )
