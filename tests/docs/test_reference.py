"""The reference says what is there: the public API as its docstrings do, every error, every table, every option of the command line."""

from __future__ import annotations

import re

import pytest
import typer
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql

import dateline
from dateline import errors
from dateline.cli.app import app
from dateline.sql.tables import TRAIL
from tests.docs.reference import FOLDER, SECTIONS, pages

MADE = pages()
DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


@pytest.mark.parametrize("page", MADE)
def test_what_is_made_of_the_docstrings_is_up_to_date(page: str) -> None:
    assert (FOLDER / page).read_text() == f"{MADE[page].rstrip()}\n", (
        "run: PYTHONPATH=src python -m tests.docs.reference"
    )


def test_every_public_name_has_its_place() -> None:
    listed = [name for _, _, names in SECTIONS for name in names]
    told = [name for name in errors.__all__ if name in MADE["errors.md"]]

    assert sorted({*dateline.__all__} - {*listed} - {*told}) == []
    assert len(listed) == len(set(listed))
    assert told == errors.__all__


def test_the_errors_page_draws_every_error_in_the_tree() -> None:
    tree = MADE["errors.md"].partition("```text")[2].partition("```")[0]
    raised = [name for name in errors.__all__ if name not in ("Rejection", "Difference")]

    assert [name for name in raised if not re.search(rf"\b{name}\b", tree)] == []


def _columns(page: str) -> dict[str, list[tuple[str, str]]]:
    """Return each table of the page with its columns and their types."""
    return {
        heading: re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", body, re.MULTILINE)
        for heading, body in re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    }


def test_the_trails_page_has_every_table_and_every_column_in_order() -> None:
    told = _columns((FOLDER / "trail.md").read_text())

    assert told == {
        table.name: [
            (column.name, column.type.compile(DIALECT).lower() + ("" if column.nullable else ", required"))
            for column in table.columns
        ]
        for table in TRAIL.sorted_tables
    }


def test_the_trails_page_names_every_key() -> None:
    page = (FOLDER / "trail.md").read_text()

    for table in TRAIL.sorted_tables:
        key = ", ".join(column.name for column in table.primary_key)
        assert f"### `{table.name}`\n\nKey: `{key}`." in page


def test_the_command_lines_page_has_every_command_and_option() -> None:
    page = (FOLDER / "cli.md").read_text()
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group has them; its type says less

    for name, command in commands.items():
        section = re.search(rf"^## dateline {name}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, f"no section about {name}"
        told = re.findall(r"^\| `(--[\w-]+)", section[1], re.MULTILINE)
        options = [option for parameter in command.params for option in parameter.opts]
        # An argument is named without hyphens.
        assert told == [option for option in options if option.startswith("-")], name
