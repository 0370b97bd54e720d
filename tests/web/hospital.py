"""A small hospital behind the API: its tables, its rules of two dates, who may do what, and a client that speaks HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.requests import HTTPConnection

from dateline import (
    Actor,
    AsyncRunner,
    Effect,
    Entry,
    Event,
    Insert,
    Personal,
    Record,
    Reject,
    Runner,
    Settings,
    Snapshot,
    Update,
    Versions,
    Yields,
    check,
    downgrade,
    given,
    handler,
    rows,
    upgrade,
)
from dateline.web.api import router
from dateline.web.caller import Caller
from tests.web.serving import served

__all__ = [
    "LAYERS",
    "NEW",
    "OLD",
    "VERSIONS",
    "Answer",
    "Base",
    "Client",
    "Prescribe",
    "Tell",
    "authenticate",
    "hospital",
]


class Base(DeclarativeBase):
    pass


class Patient(Base):
    __tablename__ = "patient"
    id: Mapped[str] = mapped_column(String(200), primary_key=True)
    name: Mapped[str]
    doses: Mapped[int] = mapped_column(default=0)
    tenant: Mapped[str] = mapped_column(default="")


class Sick(Record[Patient], subject="patient:{id}"):
    id: str
    name: Personal[str]
    doses: int


class Sight(Snapshot):
    patient: Sick = rows(Patient.id == given("patient"), Patient.tenant == given("meta.tenant"))


class Admit(Event, kind="admit", subjects=("patient:{patient}",)):
    """A patient comes in."""

    patient: str
    name: Personal[str]


class Prescribe(Event, kind="prescribe", subjects=("patient:{patient}",)):
    """A doctor prescribes."""

    patient: str
    dose: str
    note: Personal[str] = ""


class InMg(Event, kind="prescribe", subjects=("patient:{patient}",)):
    """A doctor prescribes, in milligrams."""

    patient: str
    dose_mg: int
    remark: Personal[str] = ""


class Close(Event, kind="close", requires="close", subjects=("patient:{patient}",)):
    """A file is closed."""

    patient: str


class Word(Event, kind="word", subjects=("patient:{patient}",)):
    """A word, of which nobody thought then that it is about a person."""

    patient: str
    text: str


class Whisper(Event, kind="word", subjects=("patient:{patient}",)):
    """A word that is nobody's business."""

    patient: str
    words: Personal[str]


class Tell(Effect, kind="tell", key="{patient}", subject="patient:{patient}"):
    patient: str
    text: Personal[str]


@handler
def admit(event: Admit) -> Yields[Insert[Patient]]:
    yield Insert(Patient, id=event.patient, name=event.name, doses=0, tenant=event.meta.tenant)


@check
def dose_is_told(event: Prescribe) -> Yields[Reject]:
    if not event.dose.endswith(" mg"):
        yield Reject("dose.unit", "in mg, please", field="dose")


@handler
def prescribe(event: Prescribe, seen: Sight) -> Yields[Update[Patient] | Tell]:
    yield Update(seen.patient, doses=seen.patient.doses + 1)
    yield Tell(patient=event.patient, text=f"{seen.patient.name}: {event.dose}")


@upgrade
def in_mg(old: Prescribe) -> InMg:
    return InMg(patient=old.patient, dose_mg=int(old.dose.split()[0]), remark=old.note)


@downgrade
def as_text(new: InMg) -> Prescribe:
    return Prescribe(patient=new.patient, dose=f"{new.dose_mg} mg", note=new.remark)


@upgrade
def whispered(old: Word) -> Whisper:
    return Whisper(patient=old.patient, words=old.text)


@downgrade
def said(new: Whisper) -> Word:
    return Word(patient=new.patient, text=new.words)


LAYERS: dict[str | date, Iterable[Any]] = {
    "2018-07-30": [Admit, Prescribe, Close, Word, admit, dose_is_told, prescribe],
    "2021-10-04": [InMg, Whisper, in_mg, as_text, whispered, said],
}
VERSIONS = Versions.of(LAYERS)
OLD, NEW = "2018-07-30", "2021-10-04"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    told: Any

    @property
    def word(self) -> str:
        return str(self.told["type"]).rpartition(":")[2]


@dataclass
class Client:
    """Whoever speaks HTTP."""

    port: int
    runner: Runner

    def ask(self, method: str, path: str, body: Any = None, *, me: str | None = "nurse", **headers: str) -> Answer:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        told |= {"authorization": f"Bearer {me}"} if me is not None else {}
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, raw, told)
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, json.loads(found.read()))
        finally:
            connection.close()

    def send(self, kind: str, body: Any, key: str | None = None, **given: Any) -> Answer:
        return self.ask("POST", f"/api/events/{kind}", body, idempotency_key=key or uuid4().hex, **given)

    def events(self, **asked: Any) -> list[Entry]:
        """Return what is on record, but for pins."""
        return [entry for entry in self.runner.trail(**asked) if entry.kind != "caller.pin"]

    def admit(self, patient: str = "ann", **given: Any) -> Answer:
        return self.send("admit", {"input": {"patient": patient, "name": f"secret {patient}"}}, **given)


def authenticate(connection: HTTPConnection) -> Caller | None:
    """Take the token as `tenant@name+client/version`, all but the name left out as one likes."""
    token = connection.headers.get("authorization", "").removeprefix("Bearer ")
    if not token:
        return None
    tenant, _, rest = token.rpartition("@")
    name, _, version = rest.partition("/")
    name, _, client = name.partition("+")
    return Caller(Actor(name, rights=RIGHTS.get(name, frozenset())), tenant, version or None, client or None)


RIGHTS = {
    "doctor": frozenset({"unmask"}),
    "chief": frozenset({"unmask", "close", "backdate"}),
    "auditor": frozenset({"correct", "audit"}),
    "operator": frozenset({"pin"}),
}


@contextmanager
def hospital(
    url: str,
    versions: Versions = VERSIONS,
    *,
    clock: Callable[[], datetime] | None = None,
    settings: Settings | None = None,
    prefix: str = "/api",
) -> Iterator[Client]:
    """Serve the hospital's API, and give a client of it."""
    with Runner(url, versions=versions, clock=clock) as runner:
        runner.migrate()
        Base.metadata.create_all(runner.engine)

        def app(served: AsyncRunner) -> FastAPI:
            made = FastAPI(openapi_url=None)
            made.include_router(router(served, authenticate=authenticate), prefix=prefix)
            return made

        with served(lambda: AsyncRunner(url, versions=versions, clock=clock, settings=settings), app) as port:
            yield Client(port, runner)
