"""Making entries of the rows that a page holds: what an event's columns tell at once, all else when it is asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from dateline.core.canon import parsed, unparsed
from dateline.core.entry import Entry, Written
from dateline.core.event import Event
from dateline.core.internal import internal
from dateline.core.later import later
from dateline.core.meta import Meta
from dateline.core.outcome import Performed, refusal_of
from dateline.core.personal import ERASED, unsealed
from dateline.core.version import Versions
from dateline.errors import Malformed, TrailFault
from dateline.sql import tables
from dateline.sql.dialect import Dialect
from dateline.sql.statement import Result

__all__ = ["EFFECT", "EVENT", "OPERATION", "PARTS", "PERSONAL", "UNREADABLE", "Entries", "Row", "Rows", "state_of"]

UNREADABLE = (ArithmeticError, AttributeError, LookupError, Malformed, RecursionError, TypeError, ValueError)
"""What reading raises where somebody has changed a record."""

Row: TypeAlias = Mapping[str, Any]

_HANGING = (
    (tables.operation, "ordinal step verb table_name row_key declared before after handler date merged"),
    (tables.effect, "ordinal id step kind payload handler date"),
    (tables.personal, "path subject salt value"),
    (tables.delivery, "ordinal state tries"),
    (tables.position, "position"),
)

# The parts of an entry: the event's own row first, then what hangs on its number, which comes first in each.
PARTS: tuple[tuple[Any, ...], ...] = (
    tuple(tables.event.c),
    *(tuple(table.c[name] for name in ("seq", *names.split())) for table, names in _HANGING),
)

EVENT, OPERATION, EFFECT, PERSONAL, DELIVERY, POSITION = range(len(PARTS))


@internal()
class Rows:
    """What is stored of one event, as the driver gave it: the rows of each of `PARTS`."""

    seq: int
    parts: tuple[Sequence[Sequence[Any]], ...]


class Entries:
    """Makes entries of what one kind of database stores."""

    def __init__(self, dialect: Dialect) -> None:
        # Asked for once: SQLAlchemy looks for them anew each time, which took longer than to read the values.
        self._columns = tuple(
            (
                tuple(column.name for column in columns),
                tuple(
                    (column.name, read)
                    for column in columns
                    if (read := column.type.dialect_impl(dialect.sql).result_processor(dialect.sql, None)) is not None
                ),
            )
            for columns in PARTS
        )

    def rows(self, results: Sequence[Result]) -> list[Rows]:
        """Return the rows of each event, in the order of the events' own, given one result for each of `PARTS`."""
        events, *others = results
        hanging = [_by_seq(result.rows) for result in others]
        return [Rows(row[0], ((row,), *[by_seq.get(row[0], ()) for by_seq in hanging])) for row in events.rows]

    def read(self, rows: Rows, part: int) -> list[Row]:
        """Return one part's rows by column, their values as Python's."""
        if not rows.parts[part]:
            return []
        names, readers = self._columns[part]
        made: list[Row] = []
        for row in rows.parts[part]:
            told = dict(zip(names, row, strict=True))
            for name, read in readers:
                told[name] = read(told[name])
            made.append(told)
        return made

    def entry(self, rows: Rows, versions: Versions) -> Entry:
        """Return the entry that an event's rows make.

        Raises:
            TrailFault: When the event's columns hold what dateline never wrote there. What hangs on them is read when it is asked for,
                and refused then.
        """
        try:
            [row] = self.read(rows, EVENT)
        except UNREADABLE as error:
            raise _unreadable(rows.seq) from error
        known = {name: row[name] for name in _KNOWN}
        known["position"] = _position(rows)
        return later(Entry, known, _Stored(self, rows, row, versions))


def _position(rows: Rows) -> int | None:
    """Return the event's own place; those of what became of its effects come behind it."""
    return min((row[1] for row in rows.parts[POSITION]), default=None)


def _by_seq(rows: Iterable[Sequence[Any]]) -> Mapping[int, Sequence[Sequence[Any]]]:
    made: dict[int, list[Sequence[Any]]] = defaultdict(list)
    for row in rows:
        made[row[0]].append(row)
    return made


_KNOWN = ("seq", "id", "tenant", "kind", "version", "shape", "cascade", "occurred_at", "recorded_at", "outcome")
"""What an entry takes from the event's columns as it is."""


def _unreadable(seq: int) -> TrailFault:
    return TrailFault(f"event {seq} cannot be read: its record was changed; `dateline verify` says where")


class _Stored:
    """The rows of one event, of which parts of its entry are made for whoever asks."""

    __slots__ = ("_entries", "_row", "_rows", "_values", "_versions")

    def __init__(self, entries: Entries, rows: Rows, row: Row, versions: Versions) -> None:
        self._entries = entries
        self._rows = rows
        self._row = row
        self._versions = versions
        self._values: Mapping[str, Any] | None = None

    def __call__(self, entry: Entry, name: str) -> Mapping[str, Any]:
        """Return a part by its name, and what comes with it.

        Raises:
            TrailFault: When somebody has changed what it is made of.
        """
        try:
            return _MAKERS[name](self, entry)
        except UNREADABLE as error:
            raise _unreadable(self._rows.seq) from error

    def values(self) -> Mapping[str, Any]:
        """Return the personal values by their places."""
        if self._values is None:
            found = self._entries.read(self._rows, PERSONAL)
            self._values = {one["path"]: ERASED if one["value"] is None else parsed(one["value"]) for one in found}
        return self._values

    def body(self, entry: Entry) -> Mapping[str, Any]:
        """Return what the body tells."""
        body, values = parsed(self._row["body"]), self.values()
        meta = Meta.from_facts(body["meta"])
        if entry.outcome != "committed":
            # Made here once, so that whoever asks an entry for its refusal can rely on it.
            refusal_of(entry.outcome, body["decision"].get("refusal", {}))
        return {
            "actor": meta.actor,
            "reason": meta.reason,
            "meta": meta,
            "input": unsealed(body["input"], "/input", values),
            "snapshot": {
                path: {**held, "rows": unsealed(held["rows"], f"/snapshot/{path}/rows", values)}
                for path, held in body["snapshot"].items()
            },
            "decision": body["decision"],
            "conflicts": body.get("conflicts", 0),
        }

    def event(self, entry: Entry) -> Mapping[str, Any]:
        """Return the event in the shape that it arrived in; None where no version at hand can read it."""
        shape = self._versions.shape(entry.kind, entry.shape)
        made: Event | None = None
        if shape is not None:
            text = unparsed(entry.input)
            with suppress(Malformed):
                made = shape.from_json(text).with_meta(entry.meta)
        return {"event": made}

    def operations(self, entry: Entry) -> Mapping[str, Any]:
        """Return what was written."""
        values = self.values()
        return {"operations": tuple(_operation(one, values) for one in self._entries.read(self._rows, OPERATION))}

    def effects(self, entry: Entry) -> Mapping[str, Any]:
        """Return the effects, each with the state of its delivery."""
        values = self.values()
        states = {
            one["ordinal"]: state_of(one["state"], one["tries"]) for one in self._entries.read(self._rows, DELIVERY)
        }
        return {
            "effects": tuple(
                Performed(
                    id=one["id"],
                    ordinal=one["ordinal"],
                    step=one["step"],
                    kind=one["kind"],
                    payload=unsealed(_object(one["payload"]), f"/effects/{one['ordinal']}", values),
                    handler=one["handler"],
                    date=one["date"],
                    state=states.get(one["ordinal"], "delivered"),
                )
                for one in self._entries.read(self._rows, EFFECT)
            )
        }

    def subjects(self, entry: Entry) -> Mapping[str, Any]:
        """Return whom or what it is about."""
        return {"subjects": tuple(parsed(self._row["subjects"]))}

    def personal(self, entry: Entry) -> Mapping[str, Any]:
        """Return where personal values stand, and where they stood."""
        values = self.values()
        # By identity: somebody may be called so.
        return {
            "personal": frozenset(values),
            "erased": frozenset(path for path, value in values.items() if value is ERASED),
            "owners": frozenset(one["subject"] for one in self._entries.read(self._rows, PERSONAL) if one["subject"]),
        }


_MAKERS: Mapping[str, Callable[[_Stored, Entry], Mapping[str, Any]]] = {
    **dict.fromkeys(("actor", "reason", "meta", "input", "snapshot", "decision", "conflicts"), _Stored.body),
    "event": _Stored.event,
    "operations": _Stored.operations,
    "effects": _Stored.effects,
    "subjects": _Stored.subjects,
    **dict.fromkeys(("personal", "erased", "owners"), _Stored.personal),
}


def state_of(stored: str, tries: int) -> str:
    """Return what is told of a delivery: one that is due again is being retried."""
    return "retrying" if stored == "due" and tries else stored


def _operation(row: Row, values: Mapping[str, Any]) -> Written:
    root = f"/operations/{row['ordinal']}"
    held = {at: value for at, value in values.items() if at.startswith(f"{root}/")} if values else values
    # A declared personal value is kept once, with the row that holds it.
    after = f"{root}/after"
    kept = {f"{root}/declared{at[len(after) :]}": value for at, value in held.items() if at.startswith(f"{after}/")}

    def image(name: str) -> Any:
        return None if row[name] is None else unsealed(_object(row[name]), f"{root}/{name}", held)

    return Written(
        ordinal=row["ordinal"],
        step=row["step"],
        verb=row["verb"],
        table=row["table_name"],
        row_key=row["row_key"],
        handler=row["handler"],
        date=row["date"],
        merged=tuple((step, handler, day) for step, handler, day in parsed(row["merged"])) if row["merged"] else (),
        declared=unsealed(_object(row["declared"]), f"{root}/declared", kept),
        before=image("before"),
        after=image("after"),
    )


def _object(text: str) -> Any:
    made = parsed(text)
    if not isinstance(made, dict):
        raise TypeError(f"an object is kept here, not {type(made).__name__}")
    return made
