"""What each version changed is found by machine, and told in the folders' own words."""

from __future__ import annotations

from datetime import date
from typing import Any

from dateline import Versions, load, retired
from dateline.core.history import Change, catalogue, chapters, markdown
from tests.core import test_amendment as giving
from tests.core import test_shape as dosing

CLINIC = load("versions")


def change(versions: Versions, day: str, kind: str) -> Change:
    [found] = [chapter for chapter in chapters(versions) if chapter.version == day]
    [made] = [one for one in found.changes if one.kind == kind]
    return made


def test_a_new_rule_is_told_with_what_it_reads_and_can_do() -> None:
    assert change(CLINIC, "2018-08-01", "prescription.submit") == Change(
        kind="prescription.submit",
        new=False,
        fields=(),
        opened=(
            (
                "a_hepatotoxic_drug_comes_with_a_liver_panel",
                "Within a day, and told to the nurses, who draw the blood; unless one was ordered within 28 days.",
            ),
        ),
        superseded=(),
        retired=(),
        amends=(),
        restores=(),
        reads=("+Liver.drug", "+Liver.recent"),
        yields=("+Insert:task", "+nurses.tell"),
    )


def test_another_shape_is_told_field_by_field() -> None:
    found = change(CLINIC, "2021-10-04", "prescription.submit")

    assert found.fields == ("-dose_mg", "+amount", "+unit", "+every_hours")
    assert [name for name, _ in found.superseded] == ["the_prescription_is_written", "the_patient_is_told"]


def test_what_is_amended_ended_and_restored_is_told() -> None:
    layers: dict[str | date, Any] = {
        "2024-01-01": giving.FIRST,
        "2025-01-01": (giving.quiet,),
        "2026-01-01": (giving.loud, retired(giving.log, because="nobody reads it")),
    }
    versions = Versions.of(layers)

    amended, restored = (change(versions, day, "give") for day in ("2025-01-01", "2026-01-01"))

    assert (amended.amends, amended.restores) == (("write/note",), ())
    assert (restored.amends, restored.restores, restored.retired) == ((), ("write/note",), ("log",))
    assert restored.superseded == (("quiet", ""),)


def test_older_dates_can_be_left_out() -> None:
    assert [one.version for one in chapters(CLINIC, date(2019, 1, 1))] == ["2019-02-11", "2021-10-04"]


def test_as_markdown_the_newest_comes_first_in_the_folders_own_words() -> None:
    text = markdown(chapters(CLINIC))

    titles = [line[3:13] for line in text.splitlines() if line.startswith("## ")]
    assert titles == [version.date.isoformat() for version in reversed(CLINIC.versions)]
    assert "Two days of prescriptions showed that nobody orders the panel." in text
    assert "- fields: `-dose`, `+dose_mg`" in text
    assert "### `allergy.note`, new\n\n- new: `an_allergy_is_noted_once`." in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_the_catalogue_has_each_kind_as_each_date_left_it_with_its_schema() -> None:
    found = catalogue(dosing.CHAINED)

    assert [one["version"] for one in found["versions"]] == ["2018-07-30", "2019-02-11", "2021-10-04"]
    assert [(one["version"], sorted(one["schema"]["properties"])) for one in found["kinds"]["dose"]] == [
        ("2018-07-30", ["dose", "patient"]),
        ("2019-02-11", ["dose_mg", "patient"]),
        ("2021-10-04", ["amount", "hours", "unit", "who"]),
    ]
