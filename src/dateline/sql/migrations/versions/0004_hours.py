"""Sums by the hour.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

from dateline.sql.types import Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "dateline_hour",
        sa.Column("tenant", sa.String(200), nullable=False),
        sa.Column("hour", sa.String(13), nullable=False),
        sa.Column("about", sa.String(20), nullable=False),
        sa.Column("name", sa.String(400), nullable=False),
        sa.Column("count", BIG, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "hour", "about", "name", name="dateline_hour_pkey"),
    )
    op.create_table(
        "dateline_counted",
        sa.Column("last", BIG, primary_key=True, autoincrement=False),
        sa.Column("first", BIG, nullable=False),
        sa.Column("reached", Instant()),
    )
