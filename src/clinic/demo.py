"""A short day at the clinic, played on a real database: every scene is one of dateline's promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from threading import Barrier
from typing import TypeVar
from uuid import uuid4

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clinic import deliveries
from clinic.deliveries import MAILBOX
from clinic.effects import NotifyPatient, TellNurses, TooLate
from dateline import (
    Actor,
    Committed,
    Effect,
    Entry,
    Event,
    KeyReused,
    Plan,
    Preview,
    Refused,
    Rejected,
    Relay,
    Runner,
    StaleSnapshot,
)
from dateline.core.operation import Operation
from versions.v2018_07_30.drugs import ListDrug
from versions.v2018_07_30.invitations import AcceptInvitation, SendInvitation
from versions.v2018_07_30.patients import NoteAllergy, RegisterPatient
from versions.v2021_10_04.prescriptions import SubmitPrescription

__all__ = ["Day", "play", "timeline"]

R = TypeVar("R", bound=Refused)

PHARMACY = Actor("pharmacy", kind="system")
RECEPTION = Actor("reception-1", role="receptionist")
DOCTOR = Actor("dr-7", role="doctor")
ON_DUTY = Actor("on-duty", role="engineer", rights=frozenset({"effects"}))

WIDE = 96
"""Columns of a terminal in which nothing needs to be folded but sentences."""

NAMES = ("Ada", "Ben", "Cleo", "Dora", "Emil")


@dataclass(frozen=True)
class Day:
    """One playing of the day; its patients are its own, so that the same database can be played on again.

    Args:
        token: What tells its patients, invitation and request keys from those of other days.
    """

    runner: Runner
    console: Console
    token: str = field(default_factory=lambda: uuid4().hex[:6])

    def patient(self, name: str) -> str:
        """Return the id of one of the day's patients."""
        return f"{name.lower()}-{self.token}"

    def scene(self, title: str, why: str) -> None:
        """Print what comes next, and what it shows."""
        self.console.print()
        self.console.rule(Text(title, style="bold"), align="left", style="cyan")
        self.say(why, style="italic")
        self.console.print()

    def say(self, told: str | Text, *, style: str = "") -> None:
        """Print a sentence, indented."""
        self._print(Text(told, style=style) if isinstance(told, str) else told)

    def good(self, told: str) -> None:
        """Print what went as asked."""
        self.say(Text.assemble(("✓ ", "bold green"), told))

    def bad(self, told: str) -> None:
        """Print what was refused."""
        self.say(Text.assemble(("✗ ", "bold red"), told))

    def table(self, *columns: str) -> Table:
        """Return an empty table; its handlers' names stay whole where there is room."""
        wide = self.console.width >= WIDE
        table = Table(box=box.SIMPLE_HEAD, show_header=any(columns), show_edge=False, pad_edge=False)
        table.header_style = "dim"
        for index, column in enumerate(columns):
            # The last two are the handler and its date.
            kept = index == len(columns) - 1 or (wide and index == len(columns) - 2)
            table.add_column(column, no_wrap=kept, overflow="fold")
        return table

    def show(self, table: Table) -> None:
        """Print a table, indented."""
        self._print(table)
        self.console.print()

    def _print(self, what: Text | Table) -> None:
        self.console.print(Padding(what, (0, 2), expand=False))


def play(runner: Runner, console: Console) -> Day:
    """Play the day.

    Returns:
        The day, by whose token its traces can be found in the trail.
    """
    day = Day(runner, console)
    _open_the_doors(day)
    preview = _look_before(day)
    _commit_what_was_seen(day, preview)
    _refuse(day)
    _notice_what_changed(day)
    _answer_a_repetition(day)
    _race(day)
    _deliver(day)
    _show_the_timeline(day)
    return day


def _open_the_doors(day: Day) -> None:
    day.scene(
        "The doors open", "Drugs on the formulary, patients at the desk. Each of these is an event with its own record."
    )
    for drug, ingredient, hepatotoxic in (
        ("amoxicillin", "penicillin", False),
        ("ibuprofen", "ibuprofen", False),
        ("isoniazid", "isoniazid", True),
    ):
        day.runner.dispatch(ListDrug(drug=drug, ingredient=ingredient, hepatotoxic=hepatotoxic), actor=PHARMACY)
    for number, name in enumerate(NAMES):
        event = RegisterPatient(patient=day.patient(name), name=name, phone=f"+31 555 010{number}")
        day.runner.dispatch(event, actor=RECEPTION)
    day.runner.dispatch(NoteAllergy(patient=day.patient("Ada"), ingredient="penicillin"), actor=DOCTOR)
    day.say(f"{len(NAMES)} patients are registered; {day.patient('Ada')} does not bear penicillin.")


def _isoniazid(day: Day) -> SubmitPrescription:
    return SubmitPrescription(patient=day.patient("Ada"), drug="isoniazid", amount=Decimal(300), days=28)


def _look_before(day: Day) -> Preview:
    day.scene(
        "A preview",
        "Isoniazid for Ada: what would happen? The same code as a commit, with another ending: nothing is written.",
    )
    then = _previewed(day, version="2018-07-30")
    now = _previewed(day)
    day.say("under the rules of 2018-07-30:", style="dim")
    day.show(_planned(day, then.plan))
    day.say(f"under those in force today, {now.version}: isoniazid harms the liver, so there is more.", style="dim")
    day.show(_planned(day, now.plan))
    return now


def _previewed(day: Day, *, version: str | None = None) -> Preview:
    event: Event = _isoniazid(day)
    if version is not None:
        # In those days a dose was a text.
        body = {
            "patient": event.subjects[0].removeprefix("patient:"),
            "drug": "isoniazid",
            "dose": "300 mg",
            "days": 28,
        }
        event = day.runner.event("prescription.submit", body, version=version)
    found = day.runner.preview(event, actor=DOCTOR, version=version)
    if isinstance(found, Refused):
        raise found
    return found


def _commit_what_was_seen(day: Day, preview: Preview) -> None:
    day.scene("Its commit", "The doctor has seen the plan and says yes: that very plan is committed, or nothing.")
    done = day.runner.dispatch(_isoniazid(day), actor=DOCTOR, expects=preview)
    assert done.plan == preview.plan, "a commit that differs from its preview"
    day.show(_happened(day, done))
    day.good(f"event {done.seq} of the trail, under the id that the preview had")


def _refuse(day: Day) -> None:
    day.scene(
        "A refusal",
        "Amoxicillin is a penicillin. Every check runs, each says why, and that somebody tried is recorded.",
    )
    event = SubmitPrescription(patient=day.patient("Ada"), drug="amoxicillin", amount=Decimal(500), days=7)
    refusal = _refused(Rejected, lambda: day.runner.dispatch(event, actor=DOCTOR))
    table = day.table("code", "why", "said by", "since")
    for one in refusal.rejections:
        table.add_row(Text(one.code, style="red"), Text(one.detail), Text(_name(one.handler)), Text(one.date))
    day.show(table)
    day.bad("refused, nothing is written but the record of the try")


def _refused(kind: type[R], dispatch: Callable[[], Committed]) -> R:
    """Return the refusal that a dispatch ends in; a demo whose refusals do not happen has to fail."""
    try:
        done = dispatch()
    except kind as refusal:
        return refusal
    raise AssertionError(f"{done.event.__kind__} was committed, and should be refused")


def _notice_what_changed(day: Day) -> None:
    day.scene(
        "A stale snapshot",
        "Ibuprofen for Ben is previewed. Before the doctor says yes, the desk writes down Ben's new telephone number.",
    )
    event = SubmitPrescription(patient=day.patient("Ben"), drug="ibuprofen", amount=Decimal(400), days=3)
    preview = day.runner.preview(event, actor=DOCTOR)
    day.runner.dispatch(RegisterPatient(patient=day.patient("Ben"), name="Ben", phone="+31 555 0199"), actor=RECEPTION)
    stale = _refused(StaleSnapshot, lambda: day.runner.dispatch(event, actor=DOCTOR, expects=preview))
    for one in stale.differences:
        day.bad(f"{one.row} has {one.change} in {', '.join(one.fields)}")
    day.say("The message would have gone to the old number. Looked at again, and committed:")
    day.console.print()
    day.show(_happened(day, day.runner.dispatch(event, actor=DOCTOR, expects=day.runner.preview(event, actor=DOCTOR))))


def _answer_a_repetition(day: Day) -> None:
    day.scene("A repeated key", "The network lost the answer, so the same request comes again under the same key.")
    key = f"day-{day.token}-cleo"
    event = SubmitPrescription(patient=day.patient("Cleo"), drug="ibuprofen", amount=Decimal(200), days=2)
    first = day.runner.dispatch(event, actor=DOCTOR, key=key)
    again = day.runner.dispatch(event, actor=DOCTOR, key=key)
    day.good(f"first:  event {first.seq}, committed")
    day.good(f"again:  event {again.seq}, {'repeated: the same answer, written once' if again.repeated else 'new'}")
    other = event.model_copy(update={"days": 20})
    _refused(KeyReused, lambda: day.runner.dispatch(other, actor=DOCTOR, key=key))
    day.bad("another request under that key: refused, a new request needs a new key")


def _race(day: Day) -> None:
    day.scene(
        "A race",
        f"An appointment is free. {len(NAMES)} patients accept it at the same moment, each in a thread of its own.",
    )
    invitation = f"free-{day.token}"
    patients = tuple(day.patient(name) for name in NAMES)
    tomorrow = day.runner.clock().replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    day.runner.dispatch(
        SendInvitation(invitation=invitation, appointment_at=tomorrow, patients=patients), actor=RECEPTION
    )
    start = Barrier(len(patients))

    def accept(patient: str) -> Committed:
        start.wait()
        return day.runner.dispatch(AcceptInvitation(invitation=invitation, patient=patient), actor=patient)

    with ThreadPoolExecutor(len(patients)) as threads:
        answers = sorted(threads.map(accept, patients), key=lambda done: done.seq)
    table = day.table("event", "who accepted", "came to", "told by")
    for done in answers:
        late = any(effect.kind == TooLate.__kind__ for effect in done.effects)
        state = Text("too late", style="yellow") if late else Text("holds it", style="bold green")
        table.add_row(str(done.seq), done.event.subjects[1], state, ", ".join(effect.kind for effect in done.effects))
    day.show(table)
    day.good("all are recorded; the order of the trail decided")


def _deliver(day: Day) -> None:
    day.scene(
        "The effects are delivered",
        "A relay performs what was decided. Nobody answers the telephone at first; meanwhile, the feed tells what becomes of it.",
    )
    event = SubmitPrescription(patient=day.patient("Dora"), drug="ibuprofen", amount=Decimal(400), days=3)
    before = day.runner.dispatch(ListDrug(drug=f"pause-{day.token}", ingredient="none"), actor=PHARMACY)
    done = day.runner.dispatch(event, actor=DOCTOR)
    MAILBOX.failing = 10_000
    relay = Relay(day.runner, deliveries)
    relay.drain()
    MAILBOX.failing = 0
    for effect in day.runner.effects("retrying"):
        day.runner.retry(effect.key, actor=ON_DUTY, reason="the line is mended")
    relay.drain()
    [cursor] = [n.cursor for n in day.runner.feed(event=before.event_id, follow=False) if n.entry is not None]
    table = day.table("the feed", "", "tries")
    for notice in day.runner.feed(after=cursor, follow=False, subjects=[f"patient:{day.patient('Dora')}"]):
        if notice.entry is not None and notice.entry.kind == event.__kind__:
            table.add_row(Text.assemble((notice.entry.kind, "bold")), Text(f"event {notice.entry.seq}"), Text())
        elif notice.change is not None and notice.change.event == done.event_id:
            good = notice.change.state == "delivered"
            state = Text(notice.change.state, style="green" if good else "yellow")
            table.add_row(Text(f"  {notice.change.kind}", style="magenta"), state, Text(str(notice.change.tries)))
    day.show(table)
    day.good("delivered once, after a try that failed; every try is on record")


def _show_the_timeline(day: Day) -> None:
    subject = f"patient:{day.patient('Ada')}"
    day.scene(
        "Ada's timeline",
        "All that concerned her, refusals too. Every row and every effect names the handler that caused it, and its date.",
    )
    table = day.table("", "", "")
    for entry in timeline(day.runner, subject):
        for cells in _told_of(entry):
            table.add_row(*cells)
        table.add_section()
    day.show(table)
    day.say("All of it, with every value, is told by:", style="dim")
    url = day.runner.engine.url
    shown = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
    day.console.print(f"dateline trail --database {shown} --versions versions --subject {subject}", soft_wrap=True)


def timeline(runner: Runner, subject: str) -> Iterator[Entry]:
    """Yield all that concerns a subject, oldest first."""
    after: int | None = None
    while True:
        page = runner.trail(subject=subject, after=after)
        yield from page
        after = page.next
        if after is None:
            return


def _told_of(entry: Entry) -> Iterator[tuple[Text, Text, Text]]:
    """Yield a line for the event, and one for each thing that came of it: what, by which handler, since when."""
    committed = entry.outcome == "committed"
    heading = Text.assemble((f"{entry.occurred_at:%H:%M:%S} ", "dim"), (entry.kind, "bold"))
    outcome = Text(entry.outcome, style="green" if committed else "red")
    yield heading, Text.assemble((entry.actor.id, "cyan"), f" · event {entry.seq} · ", outcome), Text()
    for one in entry.rejections:
        yield Text(f"  ✗ {one.code}", style="red"), Text(_name(one.handler)), Text(one.date)
    for operation in entry.operations:
        yield (
            Text.assemble(f"  {operation.verb} ", operation.table),
            Text(_name(operation.handler)),
            Text(operation.date),
        )
    # Counted and without their text, since an event's effects may also go to others, whose telephone is not Ada's business.
    effects = Counter((effect.kind, effect.handler, effect.date) for effect in entry.effects)
    for (kind, handler, date), count in effects.items():
        times = f" × {count}" if count > 1 else ""
        yield Text(f"  {kind}{times}", style="magenta"), Text(_name(handler)), Text(date)


def _planned(day: Day, plan: Plan) -> Table:
    table = day.table("would happen", "decided by", "since")
    for planned in plan.planned:
        step = planned.step
        if isinstance(step, Operation):
            what = _row(step.verb, step.table.name)
        elif isinstance(step, Effect):
            what = _effect(step.__kind__, step.text if isinstance(step, NotifyPatient | TellNurses) else "")
        else:
            continue
        table.add_row(what, Text(_name(planned.handler)), Text(planned.date))
    return table


def _happened(day: Day, done: Committed) -> Table:
    table = day.table("happened", "decided by", "since")
    for operation in done.operations:
        table.add_row(_row(operation.verb, operation.table), Text(_name(operation.handler)), Text(operation.date))
    for effect in done.effects:
        what = _effect(effect.kind, str(effect.payload.get("text", "")))
        table.add_row(what, Text(_name(effect.handler)), Text(effect.date))
    return table


def _row(verb: str, table: str) -> Text:
    return Text.assemble((f"{verb} ", "green"), (table, "bold"))


def _effect(kind: str, text: str) -> Text:
    return Text.assemble((kind, "magenta"), (f"\n{text}" if text else "", "dim"))


def _name(handler: str) -> str:
    """Return a handler's own name; the folder of its module is the date beside it."""
    return handler.rpartition(".")[2]
