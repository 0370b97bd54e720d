"""Each version's description of the API is kept by the server: schemathesis sends what it allows and what it does not.

Control: with a route that answers otherwise than it is described, schemathesis says so.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from clinic.app import VERSIONS as CLINIC
from clinic.app import open_clinic
from dateline import Actor, AsyncRunner, Runner, Versions
from dateline.web import openapi
from dateline.web.api import router
from dateline.web.caller import Caller
from tests.web.hospital import OLD, Base
from tests.web.hospital import VERSIONS as HOSPITAL
from tests.web.serving import served

RIGHTS = frozenset({"unmask", "close", "correct", "audit", "pin", "backdate"})

CONFIGURATION = """
# An event that is not there is waited for as long as is asked, and there are many of these.
parameters = { "query.wait" = 0PARAMETERS }

[checks.positive_data_acceptance]
# What a description allows, a check or the state of the database may refuse.
expected-statuses = ["2xx", "400", "403", "404", "409", "410", "422", "503"]
[checks.negative_data_rejection]
expected-statuses = ["400", "403", "404", "405", "409", "410", "413", "422"]
"""

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    *("response_headers_conformance", "negative_data_rejection", "positive_data_acceptance"),
    *("missing_required_header", "unsupported_method", "ignored_auth"),
)


def authenticate(connection: HTTPConnection) -> Caller | None:
    if connection.headers.get("authorization") != "Bearer t-chief":
        return None
    return Caller(Actor("chief", rights=RIGHTS), version=connection.query_params.get("at"))


@contextmanager
def serving(url: str, versions: Versions) -> Iterator[int]:
    if versions is CLINIC:
        open_clinic(url).close()
    else:
        with Runner(url, versions=versions) as runner:
            runner.migrate()
            Base.metadata.create_all(runner.engine)
            body = {"patient": "ann", "name": "Ann"}
            runner.dispatch(runner.event("admit", body, version=OLD), actor="chief", key="known", version=OLD)

    def app(runner: AsyncRunner) -> FastAPI:
        made = FastAPI(openapi_url=None)
        made.include_router(router(runner, authenticate=authenticate), prefix="/api")
        return made

    with served(lambda: AsyncRunner(url, versions=versions), app) as port:
        yield port


def tried(
    port: int,
    version: str,
    folder: Path,
    examples: int,
    known: Mapping[str, str] | None = None,
    *,
    all_of_it: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Have schemathesis try everything that a version's description says.

    Args:
        known: Parameters of paths that are there; without it, it makes all of them up.
        all_of_it: Each bound of each parameter too, which takes most of the time.
    """
    more = "".join(f', "path.{name}" = "{value}"' for name, value in (known or {}).items())
    (folder / "schemathesis.toml").write_text(CONFIGURATION.replace("PARAMETERS", more))
    command = [
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
        *("--config-file", "schemathesis.toml", "run", f"http://127.0.0.1:{port}/api/openapi.json?version={version}"),
        *("--checks", ",".join(CHECKS), "--max-examples", str(examples), "--seed", "20240701", "--no-color"),
        *("--header", "Authorization: Bearer t-chief", "--header", f"Dateline-Version: {version}"),
        *("--request-timeout", "40", "--phases", f"examples,{'coverage,' if all_of_it else ''}fuzzing"),
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1800, check=False)


@pytest.mark.parametrize(
    ("versions", "version"),
    [
        *((HOSPITAL, one.date.isoformat()) for one in HOSPITAL.versions),
        *((CLINIC, one.date.isoformat()) for one in CLINIC.versions),
    ],
    ids=lambda found: "" if isinstance(found, Versions) else found,
)
def test_nothing_is_found_against_any_versions_description(
    sqlite_url: str,
    tmp_path: Path,
    versions: Versions,
    version: str,
    times: Callable[[int], int],
    figure: Callable[[str], None],
) -> None:
    # At the short size, of the clinic's versions the newest alone is tried to its bounds.
    all_of_it = versions is HOSPITAL or version == versions.newest.date.isoformat() or times(2) > 2
    with serving(sqlite_url, versions) as port:
        found = tried(port, version, tmp_path, times(3), all_of_it=all_of_it)

    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    [cases] = re.findall(
        r"(\d+) generated, \1 passed", found.stdout.replace(",", "").replace("generated ", "generated, ")
    )
    figure(f"{version}: {cases} requests, nothing found")


@pytest.mark.parametrize("version", [one.date.isoformat() for one in HOSPITAL.versions])
def test_nothing_is_found_either_about_what_is_there(
    sqlite_url: str, tmp_path: Path, version: str, times: Callable[[int], int]
) -> None:
    with serving(sqlite_url, HOSPITAL) as port:
        with Runner(sqlite_url, versions=HOSPITAL) as runner:
            [entry] = runner.trail()
        known = {"id": str(entry.id), "subject": "patient:ann", "table": "patient", "key": "ann"}
        found = tried(port, version, tmp_path, times(3), known)

    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]


def test_an_answer_that_is_not_described_is_found(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a field that the description says is there, and is not."""
    monkeypatch.setitem(openapi._SCHEMAS, "Kinds", openapi._object(version=openapi._DATE, kinds=openapi._TEXT))

    with serving(sqlite_url, HOSPITAL) as port:
        found = tried(port, HOSPITAL.newest.date.isoformat(), tmp_path, 2)

    assert found.returncode == 1
    assert "/kinds" in found.stdout
