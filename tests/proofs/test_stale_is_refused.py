"""Whoever saw something that is no longer so is refused, and told which row and which fields; whoever did not is not."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, delete, event, func, insert, select, text, update
from sqlalchemy.orm import Session

from dateline import Preview, Runner, StaleSnapshot
from dateline.core.cascade import Cascade
from dateline.core.request import Seen
from dateline.errors import DatelineError, Difference
from dateline.sql.dialect import Reading
from dateline.sql.store import SqlStore
from tests.proofs.bank import Bank
from tests.proofs.evidence import asked, count
from tests.proofs.racing import in_order, on_all, on_every_path, on_newest, on_postgresql
from tests.proofs.sabotage import Through, Watching, unguarded
from tests.proofs.sheets import SHEETS, Beside, Look, Sheet

# SQLite keeps decimals as floats, which is the application's matter.
pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.*Decimal:sqlalchemy.exc.SAWarning")

WARDS = ("north", "south", "east")

VALUES: dict[str, tuple[Any, ...]] = {
    "code": ("ab", "abc", "a b", ""),
    "words": ("", " ", "é", "e\u0301", "a\\b", '"'),
    "dose": (Decimal("1.0000"), Decimal("1.0001"), Decimal("-1.0000")),
    "weight": (0.1, math.nextafter(0.1, 1), 1e21, -2.5e-7),
    "born": (date(1, 1, 1), date(2024, 2, 29), date(2024, 3, 2), date(2024, 2, 3)),
    "at": (datetime(2024, 3, 31, 1, 30, tzinfo=UTC), datetime(2024, 3, 31, 1, 30, 0, 1, tzinfo=UTC)),
    "naive": (datetime(2024, 3, 31, 2, 30), datetime(2024, 10, 27, 2, 30, 0, 1)),
    "every": (timedelta(days=1), timedelta(days=1, microseconds=1), timedelta(hours=-1)),
    "scan": (b"", b"\x00", b"\\x00", b"\xff\xfe"),
}
"""For each column values that differ by little, or by what a careless session would write alike."""

HOSTILE = (
    ("TimeZone", ("Asia/Kathmandu", "America/St_Johns", "UTC")),
    ("DateStyle", ("German", "SQL, DMY", "Postgres, MDY", "ISO, YMD")),
    ("IntervalStyle", ("postgres_verbose", "sql_standard", "postgres", "iso_8601")),
    ("extra_float_digits", ("-15", "0", "3")),
    ("bytea_output", ("escape", "hex")),
)
"""What a database or a role may have for its sessions, and on what the server's text of a value depends."""


@dataclass
class Ward:
    """The sheets of a bank, as somebody past dateline sees and changes them.

    Args:
        next_: The ids of the next sheets.
        held: What each sheet holds.
    """

    bank: Bank
    dice: random.Random
    next_: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))
    held: dict[str, dict[str, Any]] = field(default_factory=dict)

    def fill(self) -> None:
        """Put three sheets into each ward."""
        with self.bank.engine.begin() as connection:
            connection.execute(insert(Beside).values(id="b", seen=0))
            for ward in WARDS:
                for _ in range(3):
                    self.add(connection, ward)

    def add(self, connection: Connection, ward: str) -> str:
        """Add a sheet and return its id."""
        id = f"s{next(self.next_):06}"
        values = {name: self.dice.choice(found) for name, found in VALUES.items()}
        connection.execute(insert(Sheet).values(id=id, ward=ward, seen=0, **values))
        self.held[id] = values
        return id

    def change(self, ward: str, *, additions: bool) -> set[Difference]:
        """Change what is in a ward, and return what is to be told of it.

        Args:
            additions: Whether sheets may be added too.
        """
        with self.bank.engine.begin() as connection:
            ids = list(connection.scalars(select(Sheet.id).where(Sheet.ward == ward).order_by(Sheet.id)))
            match self.dice.randrange(6 if additions else 5):
                case 5:
                    return {Difference(row=f"sheet/{self.add(connection, ward)}", change="new")}
                case 4 if ids:
                    gone = self.dice.choice(ids)
                    connection.execute(
                        delete(Sheet).where(Sheet.id == gone)
                        if self.dice.random() < 0.5
                        else update(Sheet).where(Sheet.id == gone).values(ward="elsewhere")
                    )
                    return {Difference(row=f"sheet/{gone}", change="gone")}
                case _:
                    return {self._changed(connection, id) for id in self.dice.sample(ids, min(len(ids), 2))}

    def _changed(self, connection: Connection, id: str) -> Difference:
        """Change some cells of a sheet."""
        names = sorted(self.dice.sample(sorted(VALUES), self.dice.choice((1, 1, 1, 2, 3))))
        # What is there is known and not read: the driver does not understand every style that its session may have.
        held = self.held[id]
        others = {name: self.dice.choice([value for value in VALUES[name] if value != held[name]]) for name in names}
        held |= others
        connection.execute(update(Sheet).where(Sheet.id == id).values(**others))
        return Difference(row=f"sheet/{id}", change="changed", fields=tuple(names))

    def refill(self, ward: str) -> None:
        """Put sheets back where there are few."""
        with self.bank.engine.begin() as connection:
            while (connection.scalar(select(func.count()).select_from(Sheet).where(Sheet.ward == ward)) or 0) < 2:
                self.add(connection, ward)

    def hostile(self) -> str:
        """Change what new sessions of the database and of the role begin with; return what."""
        if not self.bank.postgresql:
            return "nothing"
        told = []
        with self.bank.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            name = self.bank.engine.url.database
            for setting, values in HOSTILE:
                value = self.dice.choice(values)
                whose = self.dice.choice((f'DATABASE "{name}"', f'ROLE CURRENT_USER IN DATABASE "{name}"'))
                connection.execute(text(f"ALTER {whose} SET {setting} = '{value}'"))
                told.append(value)
        # Whoever changes rows by hand has them from now on too.
        self.bank.engine.dispose()
        return ", ".join(told)


def on(bank: Bank) -> Through:
    return bank.opened(lambda url, kept: Through(url, versions=SHEETS, settings=kept))


def previewed(runner: Runner, ward: str) -> Preview:
    seen = runner.preview(Look(ward=ward), actor="reader")
    assert isinstance(seen, Preview)
    return seen


@on_all
def test_every_change_of_what_was_seen_is_refused_by_row_and_field_and_no_other_is(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    ward, runner = Ward(bank, random.Random(1)), on(bank)
    ward.fill()
    told: Counter[str] = Counter()
    settings = {ward.hostile()}

    for turn in range(times(250)):
        mine, other = ward.dice.sample(WARDS, 2)
        ward.refill(mine)
        seen = previewed(runner, mine)
        if turn % 25 == 24:
            # A session that begins otherwise must see the same.
            settings.add(ward.hostile())
            runner.close()
            runner = on(bank)
        by_preview = ward.dice.random() < 0.5
        expects = seen if by_preview else seen.fingerprints
        if turn % 5 == 4:
            ward.change(other, additions=True)
            runner.dispatch(Look(ward=mine), actor="reader", expects=expects)
            told["not refused, rightly"] += 1
            continue
        expected = ward.change(mine, additions=by_preview)
        with pytest.raises(StaleSnapshot) as stale:
            runner.dispatch(Look(ward=mine), actor="reader", expects=expects)
        assert set(stale.value.differences) == expected, f"turn {turn}, {settings}"
        told["refused, by preview" if by_preview else "refused, by fingerprints"] += 1

    figure(f"{dict(told)}, under {len(settings)} sorts of settings")
    assert count(bank.engine, "dateline_event") == told["not refused, rightly"]


@on_every_path
def test_every_change_between_reading_and_writing_makes_the_decision_be_made_again(
    bank: Bank, path: Callable[[Runner], None], times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    ward, runner = Ward(bank, random.Random(2)), on(bank)
    path(runner)
    ward.fill()
    tries = 0

    def meanwhile(_: Watching) -> None:
        nonlocal tries
        if tries == 0:
            ward.change(mine, additions=True)
        tries += 1

    runner.made = lambda engine: Watching(engine, meanwhile)
    for turn in range(times(100)):
        mine = ward.dice.choice(WARDS)
        ward.refill(mine)
        tries = 0
        runner.dispatch(Look(ward=mine), actor="reader")
        assert tries == 2, f"turn {turn}"

    figure(f"{times(100)} of {times(100)} seen")
    assert count(bank.engine, "dateline_event") == times(100)


@on_newest
def test_control_without_the_guard_no_change_in_between_is_seen(bank: Bank) -> None:
    ward, runner = Ward(bank, random.Random(2)), on(bank)
    unguarded(runner)
    ward.fill()
    tries = []

    def meanwhile(_: Watching) -> None:
        tries.append(ward.change("north", additions=True))

    runner.made = lambda engine: Watching(engine, meanwhile)
    # Where the row itself is gone, the database says so.
    with suppress(DatelineError):
        runner.dispatch(Look(ward="north"), actor="reader")

    assert len(tries) == 1


ALIKE = {
    "a day and its hours": "every = CASE every::text WHEN '24:00:00' THEN interval '1 day' ELSE interval '24 hours' END",
    "a month and its days": "every = CASE every::text WHEN '1 mon' THEN interval '30 days' ELSE interval '1 month' END",
    "a sign of nothing": "weight = CASE weight::text WHEN '0' THEN '-0' ELSE '0' END::double precision",
}
"""Changes after which the database holds something else, and a driver's values are equal."""


class ByValue(SqlStore):
    """A store whose guard compares the values that a driver makes of the columns, as one would by hand."""

    def _reading(self, cascade: Cascade, *, keyed: bool, look: bool) -> Reading:
        return _ByValue(super()._reading(cascade, keyed=keyed, look=look))


class _ByValue(Reading):
    def __init__(self, found: Reading) -> None:
        self.found = found

    def statements(self, *given: Any) -> Any:
        return self.found.statements(*given)

    def proof(self, results: Any) -> Any:
        return self.found.answer(results).values

    def answer(self, results: Any) -> Seen:
        seen = self.found.answer(results)
        return replace(seen, proof=seen.values)


def overtaken(bank: Bank, runner: Through, change: str) -> int:
    """Have a sheet changed between reading and writing; return how many commits were tried."""
    ward = Ward(bank, random.Random(3))
    ward.fill()
    # What it brings about now is what it changes into its like in a moment.
    with bank.engine.begin() as connection:
        connection.execute(text(f"UPDATE sheet SET {change}"))
    tries: list[int] = []

    def meanwhile(_: Watching) -> None:
        if not tries:
            with bank.engine.begin() as connection:
                connection.execute(text(f"UPDATE sheet SET {change}"))
        tries.append(1)

    runner.made = lambda engine: Watching(engine, meanwhile)
    runner.dispatch(Look(ward="north"), actor="reader")
    return len(tries)


@on_postgresql
@pytest.mark.parametrize("change", ALIKE.values(), ids=ALIKE)
@pytest.mark.parametrize("path", [lambda _: None, in_order], ids=["at-once", "in-order"])
def test_the_guard_sees_what_a_drivers_values_do_not_tell_apart(
    bank: Bank, change: str, path: Callable[[Runner], None]
) -> None:
    runner = on(bank)
    path(runner)

    assert overtaken(bank, runner, change) == 2


@on_postgresql
@pytest.mark.parametrize("change", ALIKE.values(), ids=ALIKE)
def test_control_a_guard_by_value_does_not_see_it(bank: Bank, change: str) -> None:
    runner = on(bank)
    runner.store = ByValue(runner.store.dialect, SHEETS)
    in_order(runner)

    assert overtaken(bank, runner, change) == 1


@on_postgresql
@pytest.mark.parametrize("change", ALIKE.values(), ids=ALIKE)
def test_what_a_drivers_values_do_not_tell_apart_is_the_same_to_whoever_saw_it(bank: Bank, change: str) -> None:
    ward, runner = Ward(bank, random.Random(3)), on(bank)
    ward.fill()

    def changed() -> None:
        with bank.engine.begin() as connection:
            connection.execute(text(f"UPDATE sheet SET {change}"))

    changed()
    for by_preview in (True, False):
        seen = previewed(runner, "north")
        changed()

        expects = seen if by_preview else seen.fingerprints
        done = runner.dispatch(Look(ward="north"), actor="reader", expects=expects)

        assert done.plan == seen.plan


@on_postgresql
def test_a_padded_text_is_the_same_text(bank: Bank) -> None:
    ward, runner = Ward(bank, random.Random(4)), on(bank)
    ward.fill()
    seen = previewed(runner, "north")

    with bank.engine.begin() as connection:
        connection.execute(text("UPDATE sheet SET code = rpad(code, 6)"))
    runner.dispatch(Look(ward="north"), actor="reader", expects=seen)
    seen = previewed(runner, "north")
    with bank.engine.begin() as connection:
        connection.execute(text("UPDATE sheet SET code = 'zz ' WHERE ward = 'north'"))

    with pytest.raises(StaleSnapshot) as stale:
        runner.dispatch(Look(ward="north"), actor="reader", expects=seen)
    assert {one.fields for one in stale.value.differences} == {("code",)}


@on_postgresql
def test_control_where_floats_are_written_short_a_change_of_the_last_digit_is_not_seen(bank: Bank) -> None:
    ward, runner = Ward(bank, random.Random(5)), on(bank)
    ward.fill()
    with bank.engine.begin() as connection:
        connection.execute(update(Sheet).values(weight=0.1))

    @event.listens_for(runner.engine, "connect")
    def careless(connection: Any, record: Any) -> None:
        connection.execute("SET extra_float_digits = -1")

    seen = previewed(runner, "north")
    with bank.engine.begin() as connection:
        connection.execute(update(Sheet).values(weight=math.nextafter(0.1, 1)))

    runner.dispatch(Look(ward="north"), actor="reader", expects=seen)


@on_postgresql
def test_a_session_of_the_callers_with_settings_of_its_own_sees_the_same(bank: Bank) -> None:
    ward, runner = Ward(bank, random.Random(6)), on(bank)
    ward.fill()

    for turn in range(20):
        ward.refill("north")
        seen = previewed(runner, "north")
        told = ward.hostile()
        engine = create_engine(bank.url, isolation_level="SERIALIZABLE")
        expected = ward.change("north", additions=True) if turn % 2 else set()
        with Session(engine) as session:
            before = asked_settings(session)
            stale: set[Difference] = set()
            try:
                with runner.together(session) as tx:
                    tx.dispatch(Look(ward="north"), actor="reader", expects=seen)
            except StaleSnapshot as refusal:
                stale = set(refusal.differences)
            session.commit()
            assert stale == expected, told
            assert asked_settings(session) == before
        engine.dispose()

    assert len(asked(bank.engine, "SELECT seq FROM dateline_event")) == 10


def asked_settings(session: Session) -> list[str]:
    found = [session.scalar(text(f"SELECT current_setting('{name}')")) for name, _ in HOSTILE]
    session.rollback()
    return [str(value) for value in found]
