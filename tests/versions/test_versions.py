"""The clinic's versions as a whole: what each date says of itself, and how little each asks to see."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from datetime import date
from types import ModuleType

import pytest

import versions
from dateline import Record, Snapshot, load
from dateline.core.snapshot import fields_of
from dateline.core.table import table_of

DATES = sorted(info.name for info in pkgutil.iter_modules(versions.__path__))


def test_each_version_says_its_date_and_title_and_why() -> None:
    for version in load("versions").versions:
        assert version.title.startswith(f"{version.date}: ")
        assert len(version.why) > 100


@pytest.mark.parametrize(
    ("day", "module"),
    [
        ("2013-02-01", "v2013_02_01"),
        ("2018-04-19", "v2018_04_19"),
        ("2021-10-03", "v2018_04_19"),
        ("2021-10-04", "v2021_10_04"),
    ],
)
def test_the_review_of_late_antibiotics_is_held_by_one_date_at_a_time(day: str, module: str) -> None:
    cascade = load("versions").cascade("treatment.give", date.fromisoformat(day))

    holders = {slot.name: slot.holder.dotted for slot in cascade.handlers if slot.holder}

    assert holders == {
        "the_first_of_each_treatment_counts": "versions.v2013_02_01.treatments.the_first_of_each_treatment_counts",
        "late_antibiotics_are_reviewed": f"versions.{module}.treatments.late_antibiotics_are_reviewed",
    }


@pytest.mark.parametrize("name", DATES)
def test_no_snapshot_names_a_column_that_no_handler_of_its_date_uses(name: str) -> None:
    package = importlib.import_module(f"versions.{name}")
    modules = [
        importlib.import_module(f"versions.{name}.{info.name}") for info in pkgutil.iter_modules(package.__path__)
    ]

    assert list(unused(modules, [inspect.getsource(module) for module in modules])) == []


GREEDY = """
from clinic.tables import Patient
from dateline import Record, Snapshot, Yields, given, rows
from versions.v2018_07_30.patients import RegisterPatient

class Somebody(Record[Patient]):
    id: str
    name: str
    phone: str

class File(Snapshot):
    patient: Somebody = rows(Patient.id == given("patient"))
    twin: Somebody = rows(Patient.id == given("patient"))

def nobody_is_nameless(event: RegisterPatient, file: File):
    if not file.patient.name:
        yield

def takes_no_snapshot(event: RegisterPatient):
    yield event.phone, event.twin
"""


def test_a_column_that_no_handler_uses_is_seen() -> None:
    greedy = ModuleType("greedy")
    # Compiled by itself: its annotations are types, not texts that pydantic would look for in a module that nobody imported.
    exec(compile(GREEDY, "greedy", "exec", dont_inherit=True), vars(greedy))

    assert list(unused([greedy], [GREEDY])) == ["File.patient.phone", "File.twin", "File.twin.phone"]


def unused(modules: list[ModuleType], sources: list[str]) -> Iterator[str]:
    """Yield what snapshots of these modules bring and none of their functions reads; a row's key is no choice of theirs."""
    functions = [
        node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)
    ]
    snapshots = [
        found
        for module in modules
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Snapshot) and found.__module__ == module.__name__
    ]
    for snapshot in snapshots:
        read = set().union(*(_read(function) for function in functions if _takes(function, snapshot)))
        for field in fields_of(snapshot):
            if field.name not in read:
                yield f"{snapshot.__name__}.{field.name}"
            if field.record is not None:
                yield from (
                    f"{snapshot.__name__}.{field.name}.{name}" for name in _columns(field.record) if name not in read
                )


def _takes(function: ast.FunctionDef, snapshot: type[Snapshot]) -> bool:
    """Tell whether a parameter is of this class; under `old.Chart` it would be another date's."""
    return any(
        isinstance(parameter.annotation, ast.Name) and parameter.annotation.id == snapshot.__name__
        for parameter in function.args.args
    )


def _read(function: ast.FunctionDef) -> set[str]:
    return {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}


def _columns(record: type[Record[object]]) -> list[str]:
    key = table_of(record.__table__).key
    return [name for name in record.model_fields if name not in key]
