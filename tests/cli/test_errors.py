"""What can be expected to go wrong is said in one line on stderr, with the way out, and ends with 2."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.cli.bank import lived
from tests.cli.conftest import ENVIRONMENT, Ran

Dateline = Callable[..., Ran]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trail"], "dateline trail: missing option '--database' (env var: 'DATELINE_DATABASE')"),
        (["nonsense"], "dateline: no such command 'nonsense'; see dateline --help"),
        (["trail", "--nonsense"], "dateline trail: no such option: --nonsense"),
        (["trail", "--database", "x"], "dateline: that is no database URL; write sqlite:///file.db or postgresql://"),
        (["trail", "--database", "postgresql://h:x/d"], "dateline: that is no database URL; write sqlite:///fi"),
        (["trail", "--database", "mysql://h/d"], "dateline: dateline keeps its trail in PostgreSQL or SQLite, not in"),
        (["trail", "--database", "sqlite://"], "dateline: a database in memory ends with its process; name a file"),
        (["migrate", "--database", "sqlite://"], "dateline: a database in memory ends with its process; name a file"),
        (["verify", "--database", "sqlite:///none.db"], "dateline: there is no file none.db"),
        (["trail", "--database", "sqlite:///none.db"], "dateline: there is no file none.db"),
        (["trail", "--database", "sqlite:///empty.db"], "dateline: the trail's tables are missing or old: run `datel"),
        (["verify", "--database", "sqlite:///empty.db"], "dateline: the trail's tables are missing or old: run `datel"),
        (["trail", "--database", "sqlite:///text.db"], "dateline: no connection to the database: file is not a datab"),
        (["migrate", "--database", "sqlite:///text.db"], "dateline: the database refuses: file is not a database"),
        (["migrate", "--database", "sqlite:///none/x.db"], "dateline: no connection to the database: unable to open "),
        (["trail", "--database", "postgresql://u:secret@127.0.0.1:1/d"], "dateline: no connection to the database: "),
        (["migrate", "--database", "postgresql://u:secret@127.0.0.1:1/d"], "dateline: no connection to the database:"),
        (["trail", "--since", "soon"], "dateline trail: invalid value for '--since': 'soon' is no instant; write 2018"),
        (["trail", "--version", "v1"], "dateline trail: invalid value for '--version': 'v1' is no date; write one suc"),
        (["trail", "--row", "1"], "dateline trail: invalid value for --row: a row is known by its table; add --table"),
        (["trail", "--limit", "0"], "dateline trail: invalid value for '--limit': "),
        (["trail", "--versions", "none"], "dateline: there is no package 'none'; run from the folder that holds it"),
        (["trail", "--versions", "broken"], "dateline: broken cannot be imported: SyntaxError: "),
    ],
)
def test_an_error_is_one_line_that_names_the_way_out(
    arguments: list[str], told: str, dateline: Dateline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("This is a letter, and no database.")
    (tmp_path / "broken.py").write_text("def")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    if len(arguments) > 1 and "--database" not in arguments and "--nonsense" not in arguments:
        arguments = [*arguments, "--database", "sqlite:///empty.db"]

    ran = dateline(*arguments)

    assert ran.status == 2
    assert ran.out == ""
    assert ran.err.startswith(told)
    assert ran.err.count("\n") == 1
    assert "secret" not in ran.err


def test_a_misspelt_name_makes_no_file(dateline: Dateline, tmp_path: Path) -> None:
    dateline("trail", "--database", f"sqlite:///{tmp_path}/none.db")

    assert list(tmp_path.iterdir()) == []


def test_settings_that_cannot_be_are_named_without_a_traceback(
    dateline: Dateline, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATELINE_POOL", "many")

    ran = dateline("trail", "--database", sqlite_url)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("dateline: not a valid set of settings (DATELINE_…): pool: ")


def test_an_account_without_rights_is_told_so(dateline: Dateline, postgresql_url: str) -> None:
    lived(postgresql_url)
    engine = create_engine(postgresql_url)
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS dateline_nobody"))
        connection.execute(text("CREATE ROLE dateline_nobody LOGIN PASSWORD 'nothing'"))
    nobody = make_url(postgresql_url).set(username="dateline_nobody", password="nothing")

    for command in ("trail", "verify", "migrate"):
        ran = dateline(command, "--database", nobody.render_as_string(hide_password=False))

        assert (ran.status, ran.out) == (2, "")
        assert "permission denied" in ran.err
        assert ran.err.count("\n") == 1

    with engine.begin() as connection:
        connection.execute(text("DROP ROLE dateline_nobody"))
    engine.dispose()


@pytest.mark.parametrize("command", ["verify", "trail"])
def test_a_record_that_was_made_unreadable_is_a_finding(command: str, dateline: Dateline, sqlite_url: str) -> None:
    lived(sqlite_url)
    engine = create_engine(sqlite_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE dateline_operation SET \"after\" = '{' WHERE seq = 1"))
    engine.dispose()

    ran = dateline(command, "--database", sqlite_url)

    assert ran.status == 1
    assert "Traceback" not in ran.err
    assert ran.out + ran.err


def test_a_plain_install_says_what_the_command_line_needs() -> None:
    without = "import sys; sys.modules['typer'] = None; from dateline.cli.main import main; main(['trail'])"

    ran = subprocess.run(
        [sys.executable, "-c", without], capture_output=True, text=True, check=False, timeout=300, env=ENVIRONMENT
    )

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "dateline: the command line needs packages that are not here: pip install 'dateline[cli]'\n"


def test_help_is_no_error(dateline: Dateline) -> None:
    for arguments in (["--help"], ["trail", "--help"], ["verify", "--help"], ["migrate", "--help"], ["--version"]):
        ran = dateline(*arguments)

        assert (ran.status, ran.err) == (0, "")
        assert "dateline" in ran.out
