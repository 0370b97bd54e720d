"""The clinic's console, served for people of different rights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.requests import HTTPConnection

from clinic.app import VERSIONS, open_clinic
from dateline import Actor, AsyncRunner, Runner
from dateline.console.site import console
from dateline.core import effective
from dateline.core.access import AUDIT
from dateline.run import act
from dateline.web.caller import UNMASK, Caller
from tests.web.serving import served
from versions.v2018_07_30.drugs import ListDrug
from versions.v2018_07_30.patients import RegisterPatient

__all__ = ["PEOPLE", "Clinic", "clinic"]

PEOPLE = {
    "doctor": Actor("dr-7", role="doctor", rights=frozenset({UNMASK})),
    "auditor": Actor("ina", role="auditor", rights=frozenset({UNMASK, AUDIT, effective.RIGHT})),
    "engineer": Actor("on-duty", role="engineer", rights=frozenset({act.RIGHT})),
    "nobody": Actor("visitor"),
}


@dataclass(frozen=True)
class Clinic:
    """Where its console is, and the runner behind it."""

    runner: Runner
    root: str


def _who(connection: HTTPConnection) -> Caller | None:
    name = connection.headers.get("authorization", "").removeprefix("Bearer ")
    return Caller(PEOPLE[name]) if name in PEOPLE else None


@contextmanager
def clinic(url: str) -> Iterator[Clinic]:
    """Serve a clinic where Ann is a patient and two drugs are listed, of which one harms the liver."""

    def app(runner: AsyncRunner) -> FastAPI:
        made = FastAPI(openapi_url=None)
        made.include_router(console(runner, authenticate=_who), prefix="/console")
        return made

    with open_clinic(url) as runner:
        runner.dispatch(ListDrug(drug="ibuprofen", ingredient="ibuprofen"), actor="pharmacy")
        runner.dispatch(ListDrug(drug="methotrexate", ingredient="methotrexate", hepatotoxic=True), actor="pharmacy")
        runner.dispatch(RegisterPatient(patient="ann", name="Ann Aalto", phone="+31 555 0100"), actor="desk")
        with served(lambda: AsyncRunner(url, versions=VERSIONS), app) as port:
            yield Clinic(runner, f"http://127.0.0.1:{port}/console")
