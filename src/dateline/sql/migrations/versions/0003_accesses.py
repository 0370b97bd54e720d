"""Who looked at whom.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

from dateline.sql.types import Id, Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "dateline_access",
        sa.Column("number", BIG, sa.Identity(), primary_key=True),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("tenant", sa.String(200), nullable=False),
        sa.Column("subject", sa.String(400), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("door", sa.String(20), nullable=False),
        sa.Column("view", sa.String(40), nullable=False),
        sa.Column("event", Id()),
        sa.Column("unmasked", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text()),
    )
    op.create_index("dateline_access_subject", "dateline_access", ["tenant", "subject", "number"])
    op.create_index("dateline_access_actor", "dateline_access", ["tenant", "actor", "number"])
