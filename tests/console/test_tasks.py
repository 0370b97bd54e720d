"""What people come to the console for, done in a real browser: with the mouse, and by the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from dateline import Actor, Committed, Look, Reason
from dateline.console.site import Console
from tests.browser import browser, needed
from tests.console.clinic import PEOPLE, Clinic, clinic
from versions.v2018_07_30.patients import NoteAllergy, RegisterPatient
from versions.v2018_07_30.prescriptions import SubmitPrescription

pytestmark = needed


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture
def place(sqlite_url: str) -> Iterator[Clinic]:
    with clinic(sqlite_url) as found:
        yield found


@contextmanager
def seen(
    opened: Browser, me: str, refused: str | None = None, *, complains: bool = False, **given: object
) -> Iterator[Page]:
    """Give a page of somebody's; whatever its script or its policy complains of fails the test.

    Args:
        complains: It does so, rightly.
        refused: How the one request is answered that is to be refused, of which the browser complains too.
    """
    context = opened.new_context(extra_http_headers={"authorization": f"Bearer {me}"}, **given)  # type: ignore[arg-type]  # whatever a context takes
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
        if not complains:
            assert [one for one in complaints if refused is None or refused not in one] == []
            assert len(complaints) == (refused is not None)
    finally:
        context.close()


def prescribed(place: Clinic, drug: str = "methotrexate") -> Committed:
    asked = SubmitPrescription(patient="ann", drug=drug, dose="15 mg", days=28)
    doctor = Actor("dr-7", role="doctor")
    return place.runner.dispatch(asked, version="2018-08-01", actor=doctor, reason="arthritis")


def tabbed(page: Page, wanted: Locator, most: int = 80) -> None:
    """Go by the tabulator to something, as somebody does who has no mouse."""
    expect(wanted).to_be_visible()
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{most} times of Tab do not lead to {wanted}")


def test_somebody_finds_why_a_laboratory_task_exists(opened: Browser, place: Clinic) -> None:
    prescribed(place)
    [task] = place.runner.trail(kind="prescription.submit").entries[0].operations[1:2]
    assert task.table == "task"

    with seen(opened, "doctor") as page:
        page.goto(f"{place.root}/")
        page.get_by_label("Subject").fill("patient:ann")
        page.get_by_role("button", name="Show").click()
        expect(page).to_have_url(f"{place.root}/subjects/patient:ann")
        page.locator("summary", has_text="prescription.submit").click()
        page.get_by_role("link", name=f"task {task.row_key}").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("task")
        expect(page.get_by_text("Within a day, and told to the nurses")).to_be_visible()
        expect(page.get_by_text("of 2018-08-01")).to_be_visible()
        page.get_by_role("link", name="prescription.submit").click()
        expect(page.get_by_text("arthritis")).to_be_visible()


def test_somebody_finds_it_by_the_keyboard_alone(opened: Browser, place: Clinic) -> None:
    prescribed(place)
    [task] = place.runner.trail(kind="prescription.submit").entries[0].operations[1:2]

    with seen(opened, "doctor") as page:
        page.goto(f"{place.root}/")
        tabbed(page, page.get_by_label("Subject"))
        page.keyboard.type("patient:ann")
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{place.root}/subjects/patient:ann")
        tabbed(page, page.locator("summary", has_text="prescription.submit"))
        page.keyboard.press("Enter")
        tabbed(page, page.get_by_role("link", name=f"task {task.row_key}"))
        page.keyboard.press("Enter")
        expect(page.get_by_text("Within a day, and told to the nurses")).to_be_visible()


def test_somebody_sees_what_a_prescription_was_under_another_date(opened: Browser, place: Clinic) -> None:
    done = prescribed(place)

    with seen(opened, "doctor") as page:
        page.goto(f"{place.root}/events/{done.event_id}")
        page.get_by_label("Version").select_option("2018-07-30")
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_role("heading", level=2, name="task")).to_contain_text("gone")
        expect(page.get_by_role("heading", level=2, name="nurses.tell")).to_contain_text("gone")


def filled(page: Page, place: Clinic, version: str = "2018-08-01") -> None:
    """Fill in a prescription of a drug that harms the liver."""
    page.goto(f"{place.root}/kinds/prescription.submit/try?version={version}")
    asked = page.get_by_role("form", name="What is asked")
    for name, typed in (("patient", "ann"), ("drug", "methotrexate"), ("dose", "15 mg"), ("days", "28")):
        asked.get_by_label(name).fill(typed)


def prescriptions(place: Clinic) -> list[str]:
    return [one.outcome for one in place.runner.trail(kind="prescription.submit")]


def test_somebody_previews_a_prescription_and_dispatches_exactly_that(opened: Browser, place: Clinic) -> None:
    with seen(opened, "doctor") as page:
        page.goto(f"{place.root}/")
        page.get_by_role("link", name="Catalogue").click()
        page.get_by_role("link", name="prescription.submit").click()
        page.get_by_role("link", name="Try").click()
        filled(page, place)
        page.get_by_label("Why").fill("arthritis")
        page.get_by_role("button", name="Preview", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("2 changes and 2 effects. Nothing is written yet.")
        expect(page.get_by_role("heading", name="nurses.tell")).to_be_visible()
        assert prescriptions(place) == []
        page.get_by_role("button", name="Dispatch exactly this").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("prescription.submit committed")
        expect(page.get_by_text("arthritis")).to_be_visible()

    assert prescriptions(place) == ["committed"]


def test_somebody_does_so_by_the_keyboard_alone_and_mends_what_is_wrong(opened: Browser, place: Clinic) -> None:
    with seen(opened, "doctor") as page:
        page.goto(f"{place.root}/kinds/prescription.submit/try?version=2018-08-01")
        asked = page.get_by_role("form", name="What is asked")
        for name, typed in (("patient", "ann"), ("drug", "ibuprofen"), ("dose", "400 mg"), ("days", "3")):
            tabbed(page, asked.get_by_label(name))
            page.keyboard.type(typed)
        tabbed(page, page.get_by_role("button", name="Preview", exact=True))
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Nothing is written yet.")
        tabbed(page, page.get_by_role("button", name="Dispatch exactly this"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("prescription.submit committed")

    assert prescriptions(place) == ["committed"]


def test_a_refusal_leads_back_to_the_field(opened: Browser, place: Clinic) -> None:
    place.runner.dispatch(NoteAllergy(patient="ann", ingredient="methotrexate"), actor="dr-7")

    with seen(opened, "doctor", "422") as page:
        filled(page, place)
        page.get_by_role("button", name="Preview", exact=True).click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("ann does not bear methotrexate")
        alert.get_by_role("link", name="drug").click()
        asked = page.get_by_role("form", name="What is asked")
        assert asked.get_by_label("drug").evaluate("one => one === document.activeElement || one.matches(':target')")
        assert asked.get_by_label("dose").input_value() == "15 mg"

    assert prescriptions(place) == []


def test_somebody_sees_that_what_they_previewed_is_not_so_any_more(opened: Browser, place: Clinic) -> None:
    with seen(opened, "doctor", "409") as page:
        filled(page, place)
        page.get_by_role("button", name="Preview", exact=True).click()
        moved = RegisterPatient(patient="ann", name="Ann Aalto", phone="+31 555 0199")
        place.runner.dispatch(moved, actor="desk")
        page.get_by_role("button", name="Dispatch exactly this").click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("Nothing was dispatched")
        expect(alert).to_contain_text("patient/ann is changed since in phone")
        assert prescriptions(place) == ["stale"]
        # What it would do now stands below.
        expect(page.get_by_text("+31 555 0199")).to_be_visible()
        page.get_by_role("button", name="Dispatch exactly this").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("prescription.submit committed")

    assert prescriptions(place) == ["stale", "committed"]


def test_somebody_compares_two_dates_before_anything_is_sent(opened: Browser, place: Clinic) -> None:
    with seen(opened, "doctor") as page:
        filled(page, place, "2018-07-30")
        page.get_by_label("or beside").select_option("2018-08-01")
        page.get_by_role("button", name="Preview and compare").click()
        differs = page.get_by_role("region", name="2018-07-30 beside 2018-08-01")
        expect(differs.get_by_role("heading", level=3)).to_contain_text(["new task", "new nurses.tell"])
        expect(differs.get_by_text("of 2018-08-01").first).to_be_visible()

    assert prescriptions(place) == []


def test_somebody_sees_what_is_stale_and_compares_by_the_keyboard_alone(opened: Browser, place: Clinic) -> None:
    with seen(opened, "doctor", "409") as page:
        filled(page, place, "2018-07-30")
        tabbed(page, page.get_by_role("button", name="Preview and compare"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("region", name="2018-07-30 beside")).to_be_visible()
        moved = RegisterPatient(patient="ann", name="Ann Aalto", phone="+31 555 0199")
        place.runner.dispatch(moved, actor="desk")
        tabbed(page, page.get_by_role("button", name="Dispatch exactly this"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("patient/ann is changed since in phone")

    assert prescriptions(place) == ["stale"]


def test_a_dose_that_was_entered_in_error_is_entered_as_it_should_have_been(opened: Browser, place: Clinic) -> None:
    done = prescribed(place)

    with seen(opened, "auditor") as page:
        page.goto(f"{place.root}/events/{done.event_id}")
        page.get_by_role("link", name="enter it as it should have been").click()
        page.get_by_role("form", name="As it should have been").get_by_label("dose").fill("1.5 mg")
        page.get_by_role("button", name="Show what would be corrected").click()
        asked = page.get_by_role("form", name="What is corrected")
        expect(page.get_by_role("status")).to_contain_text("Nothing is written yet.")
        expect(asked).to_contain_text("15 mg, for 28 days")
        asked.get_by_label("Why").fill("a point was lost")
        asked.get_by_role("button", name="Correct what is chosen").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("prescription.submit committed")

    [correction] = place.runner.trail(kind="event.correct")
    assert (correction.input["changed"], correction.reason and correction.reason.text) == (
        {"dose": "1.5 mg"},
        "a point was lost",
    )


def test_somebody_does_so_with_the_patient_by_the_keyboard_alone(opened: Browser, place: Clinic) -> None:
    place.runner.dispatch(RegisterPatient(patient="bob", name="Bob Berg", phone="+31 555 0101"), actor="desk")
    done = prescribed(place)

    with seen(opened, "auditor") as page:
        page.goto(f"{place.root}/events/{done.event_id}/mend")
        tabbed(page, page.get_by_role("form", name="As it should have been").get_by_label("patient"))
        page.keyboard.press("Control+A")
        page.keyboard.type("bob")
        tabbed(page, page.get_by_role("button", name="Show what would be corrected"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Nothing is written yet.")
        asked = page.get_by_role("form", name="What is corrected")
        tabbed(page, asked.get_by_label("Why"))
        page.keyboard.type("it was for Bob")
        tabbed(page, asked.get_by_role("button", name="Correct what is chosen"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("prescription.submit committed")
        page.goto(f"{place.root}/subjects/patient:bob")
        expect(page.locator("summary", has_text="event.correct")).to_be_visible()


def held(place: Clinic) -> str:
    """Have a prescription's two effects held, as after a restore; return the key of the patient's."""
    prescribed(place)
    place.runner.resume(actor=PEOPLE["engineer"])
    [key] = [one.key for one in place.runner.effects("held", kind="patient.notify")]
    return key


def test_somebody_approves_an_effect_that_was_held(opened: Browser, place: Clinic) -> None:
    key = held(place)

    with seen(opened, "engineer") as page:
        page.goto(f"{place.root}/")
        page.get_by_role("link", name="Effects").click()
        page.get_by_label("State").select_option("held")
        page.get_by_role("button", name="Filter").click()
        asked = page.get_by_role("form", name=f"patient.notify {key}")
        asked.get_by_label("Why").fill("the telephone was asked")
        asked.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("status")).to_contain_text(f"Effect {key}, patient.notify, is approved")
        # Personal values stay hidden from who may not see them.
        assert "Ann Aalto" not in page.content()

    [event] = place.runner.trail(kind="effect.approve")
    assert (event.actor.id, event.meta.reason and event.meta.reason.text) == ("on-duty", "the telephone was asked")
    assert [one.state for one in place.runner.effects(kind="patient.notify")] == ["due"]


def test_somebody_approves_it_by_the_keyboard_alone(opened: Browser, place: Clinic) -> None:
    key = held(place)

    with seen(opened, "engineer") as page:
        page.goto(f"{place.root}/effects?state=held")
        asked = page.get_by_role("form", name=f"patient.notify {key}")
        tabbed(page, asked.get_by_label("Why"))
        page.keyboard.type("by hand")
        tabbed(page, asked.get_by_role("button", name="Approve"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("is approved")

    assert [one.state for one in place.runner.effects(kind="patient.notify")] == ["due"]


def test_an_auditor_finds_who_looked_at_a_patient(opened: Browser, place: Clinic) -> None:
    prescribed(place)
    with seen(opened, "doctor") as page:
        page.goto(f"{place.root}/subjects/patient:ann")
        expect(page.get_by_role("heading", level=1)).to_have_text("patient:ann")
        expect(page.get_by_role("link", name="Who looked at patient:ann")).to_have_count(0)

    with seen(opened, "auditor") as page:
        page.goto(f"{place.root}/")
        page.get_by_label("Subject").fill("patient:ann")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name="Who looked at patient:ann").click()
        expect(page).to_have_url(f"{place.root}/subjects/patient:ann/accesses")
        looks = page.get_by_role("main").get_by_role("listitem")
        expect(looks).to_have_count(2)
        expect(looks.nth(1)).to_contain_text("dr-7 doctor")
        expect(looks.nth(1)).to_contain_text("timeline through the console, personal values too")
        page.get_by_role("link", name="What happened to patient:ann").click()
        expect(page.locator("summary", has_text="prescription.submit")).to_be_visible()


def test_an_auditor_finds_who_looked_by_the_keyboard_alone(opened: Browser, place: Clinic) -> None:
    done = prescribed(place)
    place.runner.look(
        Look(actor=Actor("dr-9"), door="ward", view="event", event=done.event_id, reason=Reason("a second opinion"))
    )

    with seen(opened, "auditor") as page:
        page.goto(f"{place.root}/subjects/patient:ann")
        tabbed(page, page.get_by_role("link", name="Who looked at patient:ann"))
        page.keyboard.press("Enter")
        expect(page.get_by_text("dr-9")).to_be_visible()
        expect(page.get_by_text("a second opinion")).to_be_visible()
        tabbed(page, page.get_by_role("link", name="event", exact=True))
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{place.root}/events/{done.event_id}")


def test_the_timeline_grows_while_somebody_reads_it(opened: Browser, place: Clinic) -> None:
    with seen(opened, "doctor") as page:
        page.goto(f"{place.root}/subjects/patient:ann")
        page.evaluate("window.unloaded = false; window.addEventListener('pagehide', () => { window.unloaded = true })")
        page.locator("#timeline summary").click()
        expect(page.locator("#timeline > li")).to_have_count(1)

        for ingredient in ("penicillin", "latex"):
            place.runner.dispatch(NoteAllergy(patient="ann", ingredient=ingredient), actor="dr-8")
        place.runner.dispatch(RegisterPatient(patient="bob", name="Bob", phone="+31 555 0101"), actor="desk")

        expect(page.locator("#timeline > li")).to_have_count(3, timeout=15_000)
        expect(page.locator("#timeline > li").first).to_contain_text("latex")
        expect(page.get_by_role("status")).to_contain_text("new event")
        expect(page.locator("#timeline > li").last.locator("details")).to_have_attribute("open", "")
        looks = len(place.runner.accesses(subject="patient:ann", actor="dr-7"))
        page.wait_for_timeout(5_000)
        assert len(place.runner.accesses(subject="patient:ann", actor="dr-7")) == looks
        assert page.evaluate("window.unloaded") is False


def test_a_timeline_says_that_the_server_is_gone_and_goes_on_when_it_is_back(opened: Browser, place: Clinic) -> None:
    with seen(opened, "doctor", None, complains=True) as page:
        page.goto(f"{place.root}/subjects/patient:ann")
        status = page.get_by_role("status")

        page.route("**/*known=*", lambda route: route.abort("connectionrefused"))
        expect(status).to_have_text("The server does not answer; this page goes on asking.", timeout=30_000)
        page.unroute("**/*known=*")
        expect(status).to_have_text("", timeout=30_000)
        page.route("**/*known=*", lambda route: route.fulfill(status=503))
        expect(status).to_have_text("The server refuses (503); this page goes on asking.", timeout=30_000)
        prescribed(place)
        page.unroute("**/*known=*")
        expect(status).to_have_text("1 new event", timeout=30_000)


def test_an_event_is_corrected_item_by_item(opened: Browser, place: Clinic) -> None:
    asked = SubmitPrescription(patient="ann", drug="methotrexate", dose="15 mg", days=28)
    done = place.runner.dispatch(asked, version="2018-07-30", actor="dr-7")

    with seen(opened, "auditor") as page:
        page.goto(f"{place.root}/events/{done.event_id}")
        page.get_by_role("link", name="Correct this event").click()
        page.get_by_label("As this version decides").select_option("2018-08-01")
        page.get_by_role("button", name="Show").last.click()
        page.get_by_role("checkbox", name="nurses.tell").uncheck()
        page.get_by_label("Why").fill("a panel is due")
        page.get_by_role("button", name="Correct what is chosen").click()
        expect(page).to_have_url(f"{place.root}/events/{done.event_id}")
        expect(page.get_by_role("link", name="event.correct")).to_be_visible()

    [task] = place.runner.trail(table="task", kind="event.correct")
    assert task.meta.reason is not None
    assert task.meta.reason.text == "a panel is due"
    assert place.runner.effects("held") == ()


def test_an_event_is_corrected_and_what_comes_of_it_is_approved_by_the_keyboard_alone(
    opened: Browser, place: Clinic
) -> None:
    asked = SubmitPrescription(patient="ann", drug="methotrexate", dose="15 mg", days=28)
    done = place.runner.dispatch(asked, version="2018-07-30", actor="dr-7")

    with seen(opened, "auditor") as page:
        page.goto(f"{place.root}/events/{done.event_id}/correct?version=2018-08-01")
        tabbed(page, page.get_by_role("checkbox", name="nurses.tell"))
        tabbed(page, page.get_by_label("Why"))
        page.keyboard.type("the rules of August held already")
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{place.root}/events/{done.event_id}")
        expect(page.get_by_role("link", name="event.correct")).to_be_visible()

    with seen(opened, "engineer") as page:
        page.goto(f"{place.root}/effects?state=held")
        tabbed(page, page.get_by_label("Why"))
        page.keyboard.type("seen")
        tabbed(page, page.get_by_role("button", name="Approve"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("is approved")

    assert [one.kind for one in place.runner.effects("held")] == []


# For everybody --------------------------------------------------------------------------------------------------------


def paths(done: Committed) -> dict[str, str]:
    """Return a path of each page."""
    [task] = done.operations[1:2]
    return {
        "start": "/",
        "subject": "/subjects/patient:ann",
        "accesses": "/subjects/patient:ann/accesses",
        "event": f"/events/{done.event_id}",
        "compare": f"/events/{done.event_id}/compare?version=2018-07-30",
        "row": f"/rows/task/{task.row_key}",
        "catalogue": "/kinds",
        "kind": "/kinds/prescription.submit",
        "changes": "/changelog",
        "between": "/between?base=2018-07-30&version=2018-08-01&events=100",
        "correct": f"/events/{done.event_id}/correct?version=2018-07-30",
        "mend": f"/events/{done.event_id}/mend",
        "effects": "/effects",
        "try": "/kinds/prescription.submit/try",
    }


def test_every_page_is_looked_at(place: Clinic) -> None:
    assert set(paths(prescribed(place))) == set(Console.PAGES)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")], ids=["phone, dark", "desktop, light"])
def test_no_page_keeps_anybody_out_or_wider_than_its_screen(
    opened: Browser, place: Clinic, width: int, scheme: str
) -> None:
    done = prescribed(place)
    faults = {}

    with seen(opened, "auditor", viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        for name, path in paths(done).items():
            page.goto(f"{place.root}{path}")
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            found = Axe().run(page).response["violations"]
            faults[name] = [
                (one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")
            ]
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                faults[name].append(("wider than the screen", ""))

    assert faults == {name: [] for name in faults}
