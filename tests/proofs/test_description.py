"""Each version's description of the API is kept by the server: schemathesis sends what it allows and what it does not.

Controls: with a field that is missing, a status that is not told and a server at fault, schemathesis says so.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from fastapi import FastAPI
from schemathesis.specs.openapi.definitions import OPENAPI_31
from starlette.requests import HTTPConnection

from clinic.app import VERSIONS as CLINIC
from clinic.app import open_clinic
from dateline import Actor, AsyncRunner, Runner, Versions
from dateline.core.example import examples
from dateline.errors import DatelineError, UnknownKind
from dateline.web import openapi, read
from dateline.web.api import router
from dateline.web.asked import cut_of
from dateline.web.call import Call
from dateline.web.caller import Caller
from dateline.web.openapi import described
from tests.web.hospital import OLD, Base
from tests.web.hospital import VERSIONS as HOSPITAL
from tests.web.serving import served

Trail = Callable[[Versions, Path], tuple[str, dict[str, list[str]]]]
RIGHTS = frozenset({"unmask", "close", "correct", "audit", "pin", "backdate"})

CONFIGURATION = f"""
hooks = "{Path(__file__).with_name("described.py")}"
cache = {{ enabled = false }}
generation = {{ deterministic = true, database = "none" }}

[checks.positive_data_acceptance]
# What a description allows, a check or the state of the database may refuse; of 400, allowed_is_read looks at the problem.
expected-statuses = ["2xx", "400", "404", "409", "422"]
[checks.negative_data_rejection]
expected-statuses = ["400", "404", "405", "409", "413", "422"]
"""

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    *("response_headers_conformance", "negative_data_rejection", "positive_data_acceptance", "allowed_is_read"),
    *("missing_required_header", "unsupported_method", "ignored_auth"),
    *("use_after_free", "ensure_resource_availability"),
)

ALL = [(HOSPITAL, one.date.isoformat()) for one in HOSPITAL.versions] + [
    (CLINIC, one.date.isoformat()) for one in CLINIC.versions
]
NAMES = [f"{'hospital' if versions is HOSPITAL else 'clinic'}-{version}" for versions, version in ALL]
every_version = pytest.mark.parametrize(("versions", "version"), ALL, ids=NAMES)


def authenticate(connection: HTTPConnection) -> Caller | None:
    if connection.headers.get("authorization") != "Bearer t-chief":
        return None
    return Caller(Actor("chief", rights=RIGHTS), version=connection.query_params.get("at"))


@contextmanager
def serving(url: str, versions: Versions) -> Iterator[int]:
    def app(runner: AsyncRunner) -> FastAPI:
        made = FastAPI(openapi_url=None)
        made.include_router(router(runner, authenticate=authenticate), prefix="/api")
        return made

    with served(lambda: AsyncRunner(url, versions=versions), app) as port:
        yield port


def filled(url: str, versions: Versions) -> dict[str, list[str]]:
    """Put an event of each kind and version on record; return, by the parameter that names it, what is there then."""
    if versions is CLINIC:
        open_clinic(url).close()
    with Runner(url, versions=versions) as runner:
        runner.migrate()
        if versions is HOSPITAL:
            Base.metadata.create_all(runner.engine)
            body = {"patient": "ann", "name": "Ann"}
            runner.dispatch(runner.event("admit", body, version=OLD), actor="chief", key="known", version=OLD)
        # Twice: what some kinds need, others bring about.
        for version in (one.date for one in versions.versions for _ in range(2)):
            for kind in versions.kinds:
                with suppress(UnknownKind):
                    for event in [*examples(versions.cascade(kind, version).event)][:1]:
                        with suppress(DatelineError):
                            runner.dispatch(event, actor=Actor("chief", rights=RIGHTS), version=version)
        entries = list(runner.trail())
    written = [one for entry in entries for one in entry.operations]
    dates = [one.date.isoformat() for one in versions.versions]
    return {
        "path.id": [str(entry.id) for entry in entries],
        "path.subject": sorted({subject for entry in entries for subject in entry.subjects}),
        "path.table": sorted({one.table for one in written}),
        "path.key": sorted({one.row_key for one in written}),
        "path.kind": list(versions.kinds),
        "query.version": dates,
        "query.since": dates,
        "body.version": dates,
    }


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Trail:
    """Give what puts a copy of a trail into a folder: where it is, and what is there. Each is filled once."""
    made: dict[int, tuple[Path, dict[str, list[str]]]] = {}

    def copied(versions: Versions, folder: Path) -> tuple[str, dict[str, list[str]]]:
        if id(versions) not in made:
            first = tmp_path_factory.mktemp("filled") / "first.db"
            made[id(versions)] = first, filled(f"sqlite:///{first}", versions)
        first, known = made[id(versions)]
        shutil.copy(first, folder / "trail.db")
        return f"sqlite:///{folder}/trail.db", known

    return copied


def configured(known: dict[str, list[str]], *, always: bool) -> str:
    """Return a configuration under which parameters take values that are there.

    Args:
        always: The first of them, always, also where a parameter's bounds are tried; else any of them, half of the time.
    """
    # An event that is not there is waited for as long as is asked, and there are many of these.
    lines = ["[parameters]", '"query.wait" = 0']
    if always:
        lines += [f'"{name}" = {json.dumps(found[0])}' for name, found in known.items() if name.startswith("path.")]
        return "\n".join((CONFIGURATION, *lines))
    named = {name: name.replace(".", "-") for name in known}
    lines += [f'"{name}" = {{ dictionary = "{of}", probability = 0.5 }}' for name, of in named.items()]
    lines += [f"[dictionaries.{of}]\nvalues = {json.dumps(known[name])}" for name, of in named.items()]
    return "\n".join((CONFIGURATION, *lines))


def tried(
    port: int, version: str, folder: Path, examples: int, configuration: str, phases: str
) -> subprocess.CompletedProcess[str]:
    """Have schemathesis try what a version's description says."""
    (folder / "schemathesis.toml").write_text(configuration)
    command = [
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
        *("--config-file", "schemathesis.toml", "run", f"http://127.0.0.1:{port}/api/openapi.json?version={version}"),
        *("--checks", ",".join(CHECKS), "--max-examples", str(examples), "--no-color"),
        *("--header", "Authorization: Bearer t-chief", "--header", f"Dateline-Version: {version}"),
        *("--request-timeout", "40", "--phases", phases),
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1800, check=False)


def cases(found: subprocess.CompletedProcess[str]) -> int:
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    [generated] = re.findall(r"(\d+) generated, \1 passed", re.sub(r"(\d),(\d)", r"\1\2", found.stdout))
    return int(generated)


@every_version
def test_nothing_is_found_against_any_versions_description(
    trail: Trail,
    tmp_path: Path,
    versions: Versions,
    version: str,
    times: Callable[[int], int],
    figure: Callable[[str], None],
) -> None:
    # At the short size, of the clinic's versions the newest alone is tried to its bounds, which takes most of the time.
    bounds = versions is HOSPITAL or version == versions.newest.date.isoformat() or times(2) > 2
    url, known = trail(versions, tmp_path)

    with serving(url, versions) as port:
        phases = f"examples,{'coverage,' if bounds else ''}fuzzing,stateful"
        found = tried(port, version, tmp_path, times(3), configured(known, always=False), phases)

    figure(f"{version}: {cases(found)} requests, nothing found")


@pytest.mark.parametrize("version", [one.date.isoformat() for one in HOSPITAL.versions])
def test_nothing_is_found_either_about_what_is_there(
    trail: Trail, tmp_path: Path, version: str, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    url, known = trail(HOSPITAL, tmp_path)

    with serving(url, HOSPITAL) as port:
        found = tried(port, version, tmp_path, times(2), configured(known, always=True), "coverage,fuzzing")

    figure(f"{version}: {cases(found)} requests, nothing found")


@every_version
def test_a_description_is_openapi_and_its_examples_are_what_it_says(versions: Versions, version: str) -> None:
    document = json.loads(json.dumps(described(versions, versions.asked(version), base="/api"), default=str))

    jsonschema_rs.Draft202012Validator(OPENAPI_31).validate(document)
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    shown = list(_shown(document))
    assert shown
    for schema, example in shown:
        whole = {**schema, "components": document["components"]}
        jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(example)


def _shown(part: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Give each example, with the schema beside it."""
    if isinstance(part, dict):
        if "schema" in part and "example" in part:
            yield part["schema"], part["example"]
        for one in part.values():
            yield from _shown(one)
    elif isinstance(part, list):
        for one in part:
            yield from _shown(one)


def _no_list(monkeypatch: pytest.MonkeyPatch) -> str:
    """Describe a list as a text."""
    monkeypatch.setitem(openapi._SCHEMAS, "Kinds", openapi._object(version=openapi._DATE, kinds=openapi._TEXT))
    return "Response violates schema"


def _no_status(monkeypatch: pytest.MonkeyPatch) -> str:
    """Leave out that there may be no such event."""
    told = openapi._problems
    monkeypatch.setattr(openapi, "_problems", lambda words: told(tuple(one for one in words if one != "no-such-event")))
    return "Undocumented status code"


def _fault(monkeypatch: pytest.MonkeyPatch) -> str:
    """Have a page fail that begins with the newest."""

    def failing(call: Call) -> dict[str, Any]:
        if call.request.query_params.get("order") == "newest":
            raise DatelineError("a fault")
        return cut_of(call)

    monkeypatch.setattr(read, "cut_of", failing)
    return "Server error"


def test_what_is_not_as_described_is_found(trail: Trail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controls, all at once: each is found by a check of its own."""
    url, known = trail(HOSPITAL, tmp_path)
    broken = [breaking(monkeypatch) for breaking in (_no_list, _no_status, _fault)]

    with serving(url, HOSPITAL) as port:
        version = HOSPITAL.newest.date.isoformat()
        found = tried(port, version, tmp_path, 1, configured(known, always=False), "coverage")

    assert found.returncode == 1
    assert [said for said in broken if said not in found.stdout] == []
