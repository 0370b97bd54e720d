"""`dateline run`: a decision of a document that carries its own snapshot, without any database."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from clinic.tables import Base
from dateline import Runner
from tests.cli.conftest import Ran
from versions.v2018_07_30.drugs import ListDrug
from versions.v2018_07_30.patients import RegisterPatient

AT = "2022-03-01T09:00:00Z"
ROWS: dict[str, Any] = {
    "v2018_07_30.prescriptions.Chart.patient": {"id": "ada", "name": "Ada", "phone": "1"},
    "v2018_07_30.prescriptions.Chart.drug": [{"id": "isoniazid", "ingredient": "isoniazid"}],
    "v2018_07_30.prescriptions.Chart.allergic": None,
    "v2018_07_30.prescriptions.Chart.running": {"query": "ab", "given": {}, "rows": []},
    "v2018_08_01.prescriptions.Liver.drug": {"id": "isoniazid", "hepatotoxic": False},
    "v2018_08_01.prescriptions.Liver.recent": [],
}
DOCUMENT: dict[str, Any] = {
    "kind": "prescription.submit",
    "input": {"patient": "ada", "drug": "isoniazid", "amount": "300", "unit": "mg", "days": 28},
    "meta": {"id": "018f0000-0000-7000-8000-000000000001", "at": AT, "actor": {"id": "dr-7"}},
    "snapshot": ROWS,
}


@pytest.fixture
def run(dateline: Callable[..., Ran], tmp_path: Path) -> Callable[..., Ran]:
    """Give a function that runs a document."""

    def ran(document: object, *arguments: str) -> Ran:
        path = tmp_path / "event.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return dateline("run", str(path), "--versions", "versions", *arguments)

    return ran


def changed(**changes: Any) -> dict[str, Any]:
    return {**DOCUMENT, **changes}


def test_a_plan_is_one_object_with_who_decided_each_step(run: Callable[..., Ran]) -> None:
    ran = run(DOCUMENT, "--json")

    told = json.loads(ran.out)
    assert (ran.status, told["kind"], told["version"], told["outcome"]) == (
        0,
        "prescription.submit",
        "2021-10-04",
        "planned",
    )
    [insert, tell] = told["steps"]
    assert insert["operation"]["values"] == {
        "id": insert["operation"]["row"],
        "patient": "ada",
        "drug": "isoniazid",
        "amount": "300",
        "unit": "mg",
        "starts_at": AT,
        "ends_at": "2022-03-29T09:00:00Z",
        "every_hours": None,
        "directions": None,
    }
    assert (tell["effect"]["kind"], tell["date"]) == ("patient.notify", "2021-10-04")
    assert (told["rejections"], told["amended"]) == ([], [])


def test_a_plan_is_shown_with_who_decided_each_step(run: Callable[..., Ran]) -> None:
    ran = run(DOCUMENT)

    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "● prescription.submit  planned  under 2021-10-04"
    assert lines[1].startswith("  insert    prescription ")
    assert "            by versions.v2021_10_04.prescriptions.the_prescription_is_written of 2021-10-04" in lines


def test_a_refusal_says_its_code_and_who_said_so(run: Callable[..., Ran]) -> None:
    allergic = {"patient": "ada", "ingredient": "isoniazid"}

    ran = run(changed(snapshot={**ROWS, "v2018_07_30.prescriptions.Chart.allergic": allergic}))

    assert ran == Ran(
        1,
        "× prescription.submit  rejected  under 2021-10-04\n"
        "  refuses   allergic  ada does not bear isoniazid  (field drug)\n"
        "            by versions.v2018_07_30.prescriptions.not_allergic of 2018-07-30\n",
        "",
    )


def test_another_version_decides_in_its_own_shape(run: Callable[..., Ran]) -> None:
    document = changed(input={"patient": "ada", "drug": "isoniazid", "dose": "300 mg", "days": 28}, shape="2018-07-30")

    steps = [json.loads(run(document, "--version", day, "--json").out)["steps"] for day in ("2018-07-30", "2021-10-04")]

    assert [[one["date"] for one in some] for some in steps] == [["2018-07-30"] * 2, ["2021-10-04"] * 2]
    assert steps[0][0]["operation"]["values"]["amount"] == steps[1][0]["operation"]["values"]["amount"] == "300"


def test_standard_input_is_read_for_a_hyphen(dateline: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(DOCUMENT).encode())))

    assert dateline("run", "-", "--versions", "versions", "--json").status == 0


def test_a_recorded_body_is_decided_as_it_was(run: Callable[..., Ran], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'clinic.db'}"
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with Runner(url, versions="versions") as runner:
        runner.migrate()
        runner.dispatch(ListDrug(drug="isoniazid", ingredient="isoniazid", hepatotoxic=True), actor="pharmacy")
        runner.dispatch(RegisterPatient(patient="ada", name="Ada", phone="1"), actor="reception")
        event = runner.event("prescription.submit", DOCUMENT["input"])
        done = runner.dispatch(event, actor="dr-7")
    with engine.connect() as connection:
        [[body]] = connection.execute(text(f"SELECT body FROM dateline_event WHERE seq = {done.seq}"))
    engine.dispose()

    digests = run(body)
    assert (digests.status, digests.out) == (2, "")
    assert "Chart.patient.0.name holds the digest of a personal value; put the value itself in its place" in digests.err

    whole = json.loads(body)
    whole["snapshot"]["v2018_07_30.prescriptions.Chart.patient"]["rows"] = [{"id": "ada", "name": "Ada", "phone": "1"}]
    told, plan = json.loads(run(whole, "--json").out), done.plan
    assert plan is not None
    assert [one["key"] for one in told["steps"]] == [one.key for one in plan.planned]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("{", "the document is no JSON"),
        ("[1]", "the document is no JSON object"),
        ({"kind": "x"}, 'a document has a "kind", a text, and an "input", an object'),
        (changed(snapshots={}), "the document has 'snapshots', which nobody reads"),
        (changed(kind="nothing"), "no version knows events of kind 'nothing'"),
        (changed(meta={"at": AT}), '"meta" is an object with an id, an instant "at" and an "actor" with an id'),
        (changed(snapshot={}), "the decision sees v2018_07_30.prescriptions.Chart.patient; put it into the document"),
        (
            changed(snapshot={**ROWS, "v2018_07_30.prescriptions.Chart.drug": {"id": 7}}),
            "not a valid v2018_07_30.prescriptions.Chart.drug: 0.id: Input should be a valid string; 0.ingredient: Field required",
        ),
        (
            changed(snapshot={**ROWS, "v2018_07_30.prescriptions.Chart.patient": []}),
            "Chart.patient: no such row in patient",
        ),
        (changed(input={**DOCUMENT["input"], "days": False}), "days: Input should be a valid integer"),
    ],
)
def test_what_is_no_such_document_is_told_in_a_line(run: Callable[..., Ran], document: object, says: str) -> None:
    ran = run(document)

    assert (ran.status, ran.out) == (2, "")
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_file_that_is_not_there_is_told(dateline: Callable[..., Ran]) -> None:
    assert dateline("run", "nowhere.json", "--versions", "versions").err == (
        "dateline: nowhere.json cannot be read: No such file or directory\n"
    )
