"""The trail's tables. What stands here is what the newest migration leaves; a test compares both.

Nothing here refers to the application's tables, and nothing refers to another by a foreign key: rows are only ever added, so a reference
cannot break, and checking it would cost a fifth of the write (docs/decisions).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import sqlite

from dateline.sql.types import Id, Instant

__all__ = [
    "TRAIL",
    "access",
    "attempt",
    "change",
    "claim",
    "counted",
    "delivery",
    "effect",
    "event",
    "hour",
    "incarnation",
    "operation",
    "pending",
    "personal",
    "position",
    "subject",
]

TRAIL = MetaData()

_big = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
# CACHE 1 (the default): with a larger cache a session would hand out numbers in another order than that of the writes.
_seq = Sequence("dateline_event_seq", data_type=BigInteger, cache=1, metadata=TRAIL)

event = Table(
    "dateline_event",
    TRAIL,
    Column("seq", _big, _seq, server_default=_seq.next_value(), primary_key=True),
    Column("tenant", String(200), nullable=False),
    Column("id", Id(), nullable=False),
    Column("kind", String(200), nullable=False),
    Column("version", Date),
    Column("shape", Date),
    Column("cascade", String(64), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text),
    Column("occurred_at", Instant(), nullable=False),
    Column("recorded_at", Instant(), nullable=False),
    Column("outcome", String(40), nullable=False),
    Column("cause", Id()),
    Column("root", Id()),
    # Not in the body: it may name somebody, and is no part of any digest.
    Column("subjects", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    UniqueConstraint("tenant", "id", name="dateline_event_id"),
    Index("dateline_event_kind", "tenant", "kind", "seq"),
    Index("dateline_event_actor", "tenant", "actor", "seq"),
    Index("dateline_event_tenant", "tenant", "seq"),
    Index(
        "dateline_event_cause",
        "tenant",
        "cause",
        postgresql_where=text("cause IS NOT NULL"),
        sqlite_where=text("cause IS NOT NULL"),
    ),
)

operation = Table(
    "dateline_operation",
    TRAIL,
    Column("tenant", String(200), nullable=False),
    Column("seq", _big, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("verb", String(6), nullable=False),
    Column("table_name", String(200), nullable=False),
    Column("row_key", Text, nullable=False),
    Column("declared", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("handler", Text, nullable=False),
    Column("date", String(10), nullable=False),
    Column("merged", Text),
    PrimaryKeyConstraint("tenant", "seq", "ordinal", name="dateline_operation_pkey"),
    Index("dateline_operation_row", "tenant", "table_name", "row_key", "seq"),
)

effect = Table(
    "dateline_effect",
    TRAIL,
    Column("tenant", String(200), nullable=False),
    Column("seq", _big, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("id", Id(), nullable=False),
    Column("step", Text, nullable=False),
    Column("kind", String(200), nullable=False),
    Column("payload", Text, nullable=False),
    Column("handler", Text, nullable=False),
    Column("date", String(10), nullable=False),
    PrimaryKeyConstraint("tenant", "seq", "ordinal", name="dateline_effect_pkey"),
)

# The queue: small rows, deleted when the effect is done, so that the wide effect row is written once and never again.
delivery = Table(
    "dateline_delivery",
    TRAIL,
    Column("tenant", String(200), nullable=False),
    Column("seq", _big, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("kind", String(200), nullable=False),
    Column("state", String(12), nullable=False),
    Column("due_at", Instant(), nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    # Of one lane, each waits until all before it are done.
    Column("lane", Text),
    Column("began_at", Instant()),
    PrimaryKeyConstraint("tenant", "seq", "ordinal", name="dateline_delivery_pkey"),
    # While an effect is being sent, `due_at` is the end of the lease: what was due and is not, is due again.
    Index("dateline_delivery_due", "state", "due_at", "seq", "ordinal"),
    Index(
        "dateline_delivery_lane",
        "tenant",
        "lane",
        "seq",
        "ordinal",
        postgresql_where=text("lane IS NOT NULL"),
        sqlite_where=text("lane IS NOT NULL"),
    ),
)

attempt = Table(
    "dateline_attempt",
    TRAIL,
    Column("tenant", String(200), nullable=False),
    Column("seq", _big, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("effect", Id(), nullable=False),
    Column("began_at", Instant(), nullable=False),
    Column("ended_at", Instant()),
    Column("outcome", String(12), nullable=False),
    Column("reference", Text),
    Column("detail", Text),
    PrimaryKeyConstraint("tenant", "seq", "ordinal", "number", name="dateline_attempt_pkey"),
    # Whoever received an effect knows its id and nothing else. The effect itself is under no such index: ids of chance, three to an
    # event, cost more than all else that is written of it (docs/decisions/0016).
    Index("dateline_attempt_effect", "tenant", "effect"),
)

subject = Table(
    "dateline_subject",
    TRAIL,
    Column("tenant", String(200), nullable=False),
    Column("subject", String(400), nullable=False),
    Column("seq", _big, nullable=False),
    PrimaryKeyConstraint("tenant", "subject", "seq", name="dateline_subject_pkey"),
)

personal = Table(
    "dateline_personal",
    TRAIL,
    Column("tenant", String(200), nullable=False),
    Column("seq", _big, nullable=False),
    Column("path", Text, nullable=False),
    Column("subject", String(400), nullable=False),
    # Both are NULL once the value was erased; the row stays, so that it is known where one was.
    Column("salt", String(32)),
    Column("value", Text),
    PrimaryKeyConstraint("tenant", "seq", "path", name="dateline_personal_pkey"),
    Index("dateline_personal_subject", "tenant", "subject"),
)

claim = Table(
    "dateline_claim",
    TRAIL,
    Column("tenant", String(200), nullable=False),
    Column("scope", String(40), nullable=False),
    Column("key", String(400), nullable=False),
    Column("event", Id(), nullable=False),
    Column("salt", LargeBinary(16)),
    Column("request", String(64), nullable=False),
    PrimaryKeyConstraint("tenant", "scope", "key", name="dateline_claim_pkey"),
)

# What became of an effect after its event: a row whenever the state of a delivery changes for those who look on.
change = Table(
    "dateline_change",
    TRAIL,
    # Of the same numbers as events, so that one order holds for both.
    Column("number", _big, _seq, server_default=_seq.next_value(), primary_key=True),
    Column("tenant", String(200), nullable=False),
    Column("seq", _big, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("at", Instant(), nullable=False),
    Column("detail", Text),
    Index("dateline_change_effect", "tenant", "seq", "ordinal"),
)

# Written with the event, drained by the sequencer in the order of seq. Of a change, `of` is the event's number.
pending = Table(
    "dateline_pending",
    TRAIL,
    Column("seq", _big, primary_key=True, autoincrement=False),
    Column("tenant", String(200), nullable=False),
    Column("of", _big),
)

position = Table(
    "dateline_position",
    TRAIL,
    Column("position", _big, primary_key=True, autoincrement=False),
    Column("tenant", String(200), nullable=False),
    Column("seq", _big, nullable=False),
    # The number of a change; 0 where it is the event itself.
    Column("change", _big, nullable=False, server_default=text("0")),
    UniqueConstraint("seq", "change", name="dateline_position_seq"),
    Index("dateline_position_tenant", "tenant", "position"),
    Index("dateline_position_change", "change", postgresql_where=text("change > 0"), sqlite_where=text("change > 0")),
)

incarnation = Table(
    "dateline_incarnation",
    TRAIL,
    Column("id", Id(), primary_key=True),
    Column("began_at", Instant(), nullable=False),
)

# Who looked at whom. No part of any digest: what is read changes nothing that was recorded.
access = Table(
    "dateline_access",
    TRAIL,
    Column("number", _big, Identity(), primary_key=True),
    Column("at", Instant(), nullable=False),
    Column("tenant", String(200), nullable=False),
    Column("subject", String(400), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("who", Text, nullable=False),
    Column("door", String(20), nullable=False),
    Column("view", String(40), nullable=False),
    Column("event", Id()),
    Column("unmasked", Boolean, nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("reason", Text),
    Index("dateline_access_subject", "tenant", "subject", "number"),
    Index("dateline_access_actor", "tenant", "actor", "number"),
)

# What was counted of the feed, by the hour, when somebody asked for it; made of the tables above, and could be made again.
hour = Table(
    "dateline_hour",
    TRAIL,
    Column("tenant", String(200), nullable=False),
    Column("hour", String(13), nullable=False),
    Column("about", String(20), nullable=False),
    Column("name", String(400), nullable=False),
    Column("count", _big, nullable=False),
    PrimaryKeyConstraint("tenant", "hour", "about", "name", name="dateline_hour_pkey"),
)

counted = Table(
    "dateline_counted",
    TRAIL,
    Column("last", _big, primary_key=True, autoincrement=False),
    Column("first", _big, nullable=False),
    Column("reached", Instant()),
)
