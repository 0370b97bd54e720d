"""What is done through the console: only by a form that this server gave to that very person, once, and with the right for it."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest

from dateline import Actor, Denied, Preview, Relay, Runner, Settings, Versions, Yields, delivers, handler
from dateline.console.pages.told import PAGE
from dateline.console.site import Console
from dateline.errors import Undeliverable
from dateline.sql.standing import Queued
from tests.console.test_pages import HOSTILE, Page, Ward, prescribed, watched
from tests.web.hospital import LAYERS, NEW, OLD, RIGHTS, Close, Prescribe, Tell

SECRET = "a secret of all servers"
CHIEF = Actor("chief", rights=RIGHTS["chief"])
CHIEF_OF_ALL = Actor("chief", rights=RIGHTS["chief"] | {"correct"})


@handler
def who_left_is_told(event: Close) -> Yields[Tell]:
    """From 2023 on they are told that their file is closed."""
    yield Tell(patient=event.patient, text="closed, secret")


LATER = Versions.of({**LAYERS, "2023-01-01": [who_left_is_told]})


@dataclass
class Desk:
    """Somebody at a browser, who keeps its rules: a form goes where it says, with its fields and its buttons."""

    ward: Ward
    headers: dict[str, str] = field(default_factory=lambda: {"sec-fetch-site": "same-origin"})

    def see(self, path: str, me: str = "chief") -> Page:
        return self.ward.page(path, me)

    def send(self, path: str, fields: Any, me: str = "chief", **headers: str) -> Page:
        connection = http.client.HTTPConnection("127.0.0.1", self.ward.client.port, timeout=20)
        host = f"127.0.0.1:{self.ward.client.port}"
        told = {
            "authorization": f"Bearer {me}",
            "content-type": "application/x-www-form-urlencoded",
            "origin": f"http://{host}",
            **self.headers,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        body = fields if isinstance(fields, bytes) else urlencode(fields, doseq=True).replace("%0A", "%0D%0A").encode()
        try:
            connection.request("POST", f"/console{path}", body, {name: value for name, value in told.items() if value})
            found = connection.getresponse()
            return Page(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read().decode())
        finally:
            connection.close()

    def follow(self, found: Page, me: str = "chief") -> Page:
        assert found.status == 303, found.text
        return self.see(found.headers["location"].removeprefix("/console"), me)

    def permit(self, *of: str, me: str = "chief", at: datetime | None = None, secret: str = SECRET) -> str:
        """Return what a form would carry, as a server with the secret makes it."""
        tenant, _, name = me.rpartition("@")
        with Runner(
            self.ward.url,
            versions=self.ward.client.runner.versions,
            settings=Settings(secret=secret),  # type: ignore[arg-type]  # as the environment gives it
            clock=None if at is None else lambda: at,
        ) as runner:
            return runner.permit(*of, actor=Actor(name), tenant=tenant)


def form(found: Page, action: str) -> dict[str, str]:
    """Return the hidden fields of a page's form."""
    [text] = re.findall(rf'<form[^>]*action="/console{re.escape(action)}"[^>]*>(.*?)</form>', found.text, re.DOTALL)
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', text))


@pytest.fixture
def desk(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setitem(RIGHTS, "chief", RIGHTS["chief"] | {"effects", "correct"})
    monkeypatch.setenv("DATELINE_SECRET", SECRET)
    with watched(sqlite_url, LATER) as ward:
        yield Desk(ward)


def dead(desk: Desk, patient: str = "ann", remark: str = "secret") -> Queued:
    """Return an effect that could not be delivered."""
    prescribed(desk.ward, remark, patient)

    @delivers(Tell)
    def tell(effect: Tell, delivery: Any) -> None:
        raise Undeliverable(HOSTILE)

    Relay(desk.ward.client.runner, tell).drain()
    [*_, queued] = desk.ward.client.runner.effects("dead")
    return queued


PRESCRIBED = "prescribe/tell[eve]"
CLOSED = "who_left_is_told/tell[ann]"


def closed(desk: Desk) -> str:
    """Return an event that a later version decides otherwise."""
    return str(desk.ward.client.runner.dispatch(Close(patient="ann"), actor=CHIEF, version=NEW).event_id)


def acts(desk: Desk) -> dict[str, tuple[str, tuple[str, ...], dict[str, Any]]]:
    """Return of each act a path, what its form is for, and what it holds."""
    key = dead(desk).key
    close = {"input.patient": "ann", "version": NEW}
    with Runner(desk.ward.url, versions=LATER, settings=Settings(secret=SECRET)) as runner:  # type: ignore[arg-type]  # as above
        shown = runner.preview(runner.event("close", {"patient": "ann"}), actor=Actor("chief"), version=NEW)
        assert isinstance(shown, Denied)
        shown = runner.preview(runner.event("close", {"patient": "ann"}), actor=CHIEF, version=NEW)
        assert isinstance(shown, Preview)
        promise = runner.promise(shown)
    entered, event = prescribed(desk.ward, patient="eve"), closed(desk)
    return {
        "corrected": (
            f"/events/{event}/correct",
            ("correct", event),
            {"version": "2023-01-01", "number": "1", "item": CLOSED, "reason": "they were not told"},
        ),
        "mended": (
            f"/events/{entered}/mend",
            ("mend", entered),
            {"input.dose_mg": "6", "do": "correct", "number": "1", "item": PRESCRIBED, "reason": "it was six"},
        ),
        "effect": (f"/effects/{key}", ("effect", key), {"act": "retry", "reason": "it is mended"}),
        "preview": ("/kinds/close/try", ("preview", "close"), close),
        "dispatch": ("/kinds/close/dispatch", ("dispatch", "close"), {**close, "preview": promise}),
    }


LARGE = frozenset({"preview", "dispatch", "mended"})
"""Those whose form may be as large as an event."""


def recorded(desk: Desk) -> list[Any]:
    return [one.id for tenant in ("", "north") for one in desk.ward.client.runner.trail(tenant=tenant, limit=1000)]


def committed(desk: Desk) -> list[Any]:
    runner = desk.ward.client.runner
    return [one.id for tenant in ("", "north") for one in runner.trail(tenant=tenant, outcome="committed", limit=1000)]


@pytest.mark.parametrize("name", sorted(Console.ACTS))
def test_nothing_is_done_but_by_a_form_that_this_server_gave_to_that_very_person_for_that(
    desk: Desk, name: str
) -> None:
    found = acts(desk)
    assert set(found) == set(Console.ACTS)
    path, of, fields = found[name]
    before = recorded(desk)
    good = desk.permit(*of)
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    kept = name in LARGE

    forms = {
        "without one": "",
        "forged": good[:-3] + "AAA",
        "another's": desk.permit(*of, me="nurse"),
        "another tenant's": desk.permit(*of, me="north@chief"),
        "for something else": desk.permit("other", *of[1:]),
        "of something else": desk.permit(of[0], "elsewhere"),
        "of another server": desk.permit(*of, secret="another secret, as long"),
    }
    answers = {why: desk.send(path, {**fields, "permit": told}) for why, told in forms.items()}
    answers["twice"] = desk.send(path, {**fields, "permit": [good, good]})
    answers["no form"] = desk.send(path, b'{"permit": "x"}', content_type="application/json")
    answers["too large"] = desk.send(path, b"x=" + b"1" * 70_000) if not kept else answers["forged"]
    answers["too many"] = desk.send(path, "&".join(f"a{n}=" for n in range(1001)).encode())
    answers["no text"] = desk.send(path, b"permit=%ff")
    answers["late"] = desk.send(path, {**fields, "permit": desk.permit(*of, at=long_ago)})
    places = [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "https://evil.example", "idempotency_key": "k"},
    ]
    answers |= {str(where): desk.send(path, {**fields, "permit": good}, **where) for where in places}

    assert {why: one.status for why, one in answers.items()} == {
        why: 400 if why in ("no form", "too many", "no text") else 413 if why == "too large" and not kept else 403
        for why in answers
    }
    assert all(one.headers["content-type"].startswith("text/html") for one in answers.values())
    assert "load it again" in answers["without one"].told
    assert recorded(desk) == before


@pytest.mark.parametrize("name", sorted(Console.ACTS))
def test_whoever_lacks_the_right_is_refused_and_so_is_another_tenant(desk: Desk, name: str) -> None:
    path, of, fields = acts(desk)[name]
    before = committed(desk)

    lacks = desk.send(path, {**fields, "permit": desk.permit(*of, me="nurse")}, "nurse")
    elsewhere = desk.send(path, {**fields, "permit": desk.permit(*of, me="north@chief")}, "north@chief")

    assert lacks.status == 403
    assert "lacks the right" in lacks.told
    # A preview of one's own shows what is one's own.
    assert elsewhere.status in ((200,) if name == "preview" else (400, 404, 409))
    assert "secret" not in elsewhere.text
    assert committed(desk) == before
    assert desk.send(path, {**fields, "permit": desk.permit(*of)}).status in (200, 303)


def test_the_effects_page_tells_what_is_not_done_and_why(desk: Desk) -> None:
    key = dead(desk).key

    told, nurse = desk.see("/effects").told, desk.see("/effects", "nurse").told

    for word in (
        f"tell dead {key}",
        "Tries 1",
        "onerror=alert(1)",
        "secret ann: 5 mg",
        "Retry: send it now",
        "patient:ann",
    ):
        assert word in told
    assert "Approve" not in told
    for word in ("secret ann", "Retry: send"):
        assert word not in nurse
    assert "need the right effects" in nurse
    assert desk.see("/effects?state=held").told.count("There are no such effects") == 1
    assert desk.see("/effects?kind=tell").told.count("tell dead") == 1
    assert desk.see("/effects?state=asleep").status == 400
    assert desk.see("/effects?after=x").status == 400


def test_what_is_dead_is_retried_with_a_reason_and_the_page_says_so(desk: Desk) -> None:
    key = dead(desk).key
    page = desk.see("/effects?state=dead")

    sent = desk.send(f"/effects/{key}", {**form(page, f"/effects/{key}"), "act": "retry", "reason": HOSTILE})
    then = desk.follow(sent)

    assert sent.headers["location"].startswith("/console/effects?state=dead&done=")
    assert f"Effect {key}, tell, is due again; recorded as event" in then.told
    [act] = desk.ward.client.runner.trail(kind="effect.retry")
    assert (act.actor.id, act.reason.text if act.reason else "", act.subjects) == ("chief", HOSTILE, ("patient:ann",))
    assert [one.state for one in desk.ward.client.runner.effects()] == ["retrying"]


def test_a_form_that_is_sent_twice_does_it_once(desk: Desk) -> None:
    key = dead(desk).key
    fields = {**form(desk.see("/effects"), f"/effects/{key}"), "act": "cancel"}

    first, second = (desk.send(f"/effects/{key}", fields) for _ in range(2))

    assert (first.status, second.headers["location"]) == (303, first.headers["location"])
    assert len(desk.ward.client.runner.trail(kind="effect.cancel")) == 1


def test_what_is_in_no_state_for_it_is_refused_in_words(desk: Desk) -> None:
    key = dead(desk).key
    page = desk.see("/effects")
    desk.ward.client.runner.cancel(key, actor=Actor("olga", rights=frozenset({"effects"})))

    late = desk.send(f"/effects/{key}", {**form(page, f"/effects/{key}"), "act": "retry"})
    other = desk.send(f"/effects/{key}", {**form(page, f"/effects/{key}"), "act": "burn"})

    assert (late.status, other.status) == (409, 400)
    assert f"effect {key} (tell) is cancelled; retried can be what is dead" in late.told


def test_effects_are_shown_page_by_page(desk: Desk) -> None:
    for number in range(22):
        prescribed(desk.ward, patient=f"p{number}")

    first = desk.see("/effects")
    [further] = re.findall(r'rel="next" href="([^"]+)"', first.text)
    then = desk.see(further.removeprefix("/console").replace("&amp;", "&"))

    assert [page.text.count("<article") for page in (first, then)] == [PAGE, 22 - PAGE]
    looked = desk.ward.client.runner.accesses(subject="patient:p21")
    assert [(one.view, one.door) for one in looked] == [("effects", "console")]


def typed(desk: Desk, kind: str, version: str = NEW, me: str = "chief", **fields: str) -> dict[str, str]:
    """Return the form of a kind, filled in."""
    found = form(desk.see(f"/kinds/{kind}/try?version={version}", me), f"/kinds/{kind}/try")
    return {**found, **{f"input.{name}": value for name, value in fields.items()}, "do": "preview"}


def test_a_kinds_form_is_made_of_its_shape(desk: Desk) -> None:
    new, old = (desk.see(f"/kinds/prescribe/try?version={day}") for day in (NEW, OLD))

    for word in ("patient required str", "dose_mg required int", "remark personal str"):
        assert word in new.told
    assert 'type="number"' in new.text
    assert ("dose required str" in old.told, "dose_mg" in old.told) == (True, False)
    assert desk.see("/kinds/sing/try").status == 404


def test_a_preview_tells_what_would_change_and_in_whose_words_and_writes_nothing(desk: Desk) -> None:
    desk.ward.client.admit()
    before = recorded(desk)
    fields = typed(desk, "prescribe", patient="ann", dose_mg="5", remark=HOSTILE)

    told = desk.send("/kinds/prescribe/try", {**fields, "reason": "by telephone"})

    assert told.status == 200
    for word in ("with 1 change and 1 effect", "doses 0 1", "secret ann: 5 mg", "prescribe of 2018-07-30", HOSTILE):
        assert word in told.told or word in told.text.replace("&#34;", '"').replace("&lt;", "<").replace("&gt;", ">")
    assert "<script" not in told.text
    assert recorded(desk) == before
    [look] = desk.ward.client.runner.accesses(subject="patient:ann")
    assert (look.actor.id, look.door, look.view) == ("chief", "console", "preview")


def test_who_may_not_see_personal_values_sees_none_in_a_preview(desk: Desk) -> None:
    desk.ward.client.admit()

    told = desk.send(
        "/kinds/prescribe/try", typed(desk, "prescribe", me="nurse", patient="ann", dose_mg="5"), "nurse"
    ).told

    assert "secret" not in told
    assert "doses 0 1" in told


def test_exactly_what_was_previewed_is_dispatched_once(desk: Desk) -> None:
    desk.ward.client.admit()
    fields = typed(desk, "prescribe", patient="ann", dose_mg="5", remark="two\nlines")
    shown = desk.send("/kinds/prescribe/try", {**fields, "reason": "by telephone"})
    sending = form(shown, "/kinds/prescribe/dispatch")

    first, second = (desk.send("/kinds/prescribe/dispatch", sending) for _ in range(2))
    told = desk.follow(first).told

    assert second.headers["location"] == first.headers["location"]
    assert "prescribe committed" in told
    [entry] = desk.ward.client.runner.trail(kind="prescribe")
    assert (entry.input["remark"], entry.reason.text if entry.reason else "") == ("two\nlines", "by telephone")
    other = desk.send("/kinds/prescribe/dispatch", {**sending, "input.dose_mg": "6"})
    assert (other.status, len(desk.ward.client.runner.trail(kind="prescribe", outcome="committed"))) == (400, 1)


def test_a_preview_that_is_stale_is_told_by_row_and_field_and_offered_anew(desk: Desk) -> None:
    desk.ward.client.admit()
    shown = desk.send("/kinds/prescribe/try", typed(desk, "prescribe", patient="ann", dose_mg="5"))
    desk.ward.client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 1}})

    stale = desk.send("/kinds/prescribe/dispatch", form(shown, "/kinds/prescribe/dispatch"))

    assert stale.status == 409
    for word in ("Nothing was dispatched", "patient/ann is changed since in doses", "doses 1 2"):
        assert word in stale.told
    assert len(desk.ward.client.runner.trail(kind="prescribe", outcome="committed")) == 1
    done = desk.send("/kinds/prescribe/dispatch", form(stale, "/kinds/prescribe/dispatch"))
    assert done.status == 303
    otherwise = desk.send("/kinds/prescribe/dispatch", {**form(stale, "/kinds/prescribe/dispatch"), "reason": "other"})
    assert otherwise.status != 303


def test_rejections_stand_at_their_fields_with_what_was_typed(desk: Desk) -> None:
    desk.ward.client.admit()

    rejected = desk.send("/kinds/prescribe/try", typed(desk, "prescribe", OLD, patient="ann", dose="5 g"))
    wrong = desk.send("/kinds/prescribe/try", typed(desk, "prescribe", patient=HOSTILE, dose_mg="five"))
    missing = desk.send("/kinds/prescribe/try", typed(desk, "prescribe", patient="", dose_mg=""))
    nobody = desk.send("/kinds/prescribe/try", typed(desk, "prescribe", patient="bob", dose_mg="5"))

    assert (rejected.status, wrong.status, missing.status, nobody.status) == (422, 400, 400, 404)
    assert (
        "It would be refused: checks refused the event dose.unit dose : in mg, please dose_is_told of 2018-07-30"
        in rejected.told
    )
    assert 'value="5 g"' in rejected.text or ">\n5 g<" in rejected.text
    assert re.search(r'<a href="#in-dose_mg">dose_mg</a>: Input should be a valid integer', wrong.text)
    assert "&gt;&lt;script&gt;" in wrong.text
    assert "<script" not in wrong.text
    assert missing.told.count("is needed") == 4
    assert "Dispatch" not in nobody.told


def test_two_versions_are_tried_side_by_side(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @handler
    def page_the_ward(event: Prescribe) -> Yields[Tell]:
        """From 2023 on the ward is told too."""
        yield Tell(patient="ward", text=event.dose)

    monkeypatch.setenv("DATELINE_SECRET", SECRET)
    with watched(sqlite_url, Versions.of({**LAYERS, "2023-01-01": [page_the_ward]})) as ward:
        desk = Desk(ward)
        ward.client.admit()
        fields = typed(desk, "prescribe", patient="ann", dose_mg="5")

        told = desk.send("/kinds/prescribe/try", {**fields, "do": "compare", "other": "2023-01-01"}).told
        same = desk.send("/kinds/prescribe/try", {**fields, "do": "compare", "other": NEW}).told
        older = desk.send("/kinds/prescribe/try", {**fields, "do": "compare", "other": OLD}).told

    assert "From 2023 on the ward is told too." in told
    assert f"{NEW} beside 2023-01-01" in told
    assert "Both do the same." in same
    assert f"Take the form of {OLD}" in older


def test_a_form_that_is_too_old_keeps_what_was_typed(desk: Desk) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    fields = typed(desk, "prescribe", patient="ann", dose_mg="5", remark="a long story")

    for name in ("preview", "dispatch"):
        path = "/kinds/prescribe/" + ("try" if name == "preview" else name)
        found = desk.send(path, {**fields, "permit": desk.permit(name, "prescribe", at=long_ago), "preview": "x"})
        assert (found.status, "a long story" in found.text) == (403, True)
        assert "Nothing happened" in found.told


def test_without_the_right_that_the_kind_requires_there_is_nothing_to_dispatch(desk: Desk) -> None:
    fields = typed(desk, "close", me="nurse", patient="ann")

    denied = desk.send("/kinds/close/try", fields, "nurse")

    assert denied.status == 403
    looks = desk.ward.client.runner.accesses(subject="patient:ann")
    assert [(one.actor.id, one.view, one.outcome) for one in looks] == [("nurse", "preview", "denied")]


def test_what_correcting_an_event_would_do_is_told_item_by_item(desk: Desk) -> None:
    event = closed(desk)
    before = recorded(desk)

    same = desk.see(f"/events/{event}/correct?version={NEW}").told
    told = desk.see(f"/events/{event}/correct").told
    nurse = desk.see(f"/events/{event}/correct", "nurse")
    link = desk.see(f"/events/{event}")

    assert "There is nothing to correct." in same
    for word in ("new tell", "It is sent once somebody approves it.", "From 2023 on they are told", "closed, secret"):
        assert word in told
    assert "secret" not in nurse.text
    assert "needs the right correct" in nurse.told
    assert "Correct what is chosen" not in nurse.told
    assert f'href="/console/events/{event}/correct"' in link.text
    assert recorded(desk) == before
    looks = desk.ward.client.runner.accesses(subject="patient:ann")
    assert [one.view for one in looks] == ["correction", "correction", "correction", "event"]
    assert desk.see(f"/events/{event}/correct", "north@chief").status == 404
    assert desk.see("/events/x/correct").status == 404


def test_what_is_chosen_is_corrected_once_and_with_a_reason(desk: Desk) -> None:
    event = closed(desk)
    path = f"/events/{event}/correct"
    hidden = form(desk.see(path), path)

    silent = desk.send(path, {**hidden, "item": CLOSED, "reason": " "})
    none = desk.send(path, {**form(silent, path), "reason": HOSTILE})
    chosen = {**form(none, path), "item": CLOSED, "reason": HOSTILE}
    first, second = (desk.send(path, chosen) for _ in range(2))
    then = desk.follow(first)

    assert (silent.status, none.status, second.headers["location"]) == (400, 400, first.headers["location"])
    assert "Why : say why" in silent.told
    assert "choose at least one" in none.told
    assert "<script" not in none.text
    [correction] = desk.ward.client.runner.trail(kind="event.correct")
    assert (correction.meta.cause, correction.reason.text if correction.reason else "") == (UUID(event), HOSTILE)
    assert "event.correct committed" in then.told
    assert [one.state for one in desk.ward.client.runner.effects()] == ["held"]
    assert "There is nothing to correct." in desk.see(path).told


def test_a_correction_of_what_is_no_longer_so_is_refused_and_shown_anew(desk: Desk) -> None:
    event = closed(desk)
    path = f"/events/{event}/correct"
    page = form(desk.see(path), path)
    runner = desk.ward.client.runner
    runner.correct(runner.diff(event, "2023-01-01"), actor=CHIEF_OF_ALL, reason="first")

    late = desk.send(path, {**page, "item": CLOSED, "reason": "late"})

    assert late.status == 409
    assert "Nothing was corrected: the event was corrected since" in late.told
    assert len(runner.trail(kind="event.correct")) == 1
    unknown = desk.send(path, {**page, "number": "2", "item": "no such", "reason": "x"})
    assert unknown.status == 400
    assert desk.send(path, {**page, "number": "x", "item": CLOSED}).status == 400
    assert desk.send(path, {**page, "version": "soon", "item": CLOSED}).status == 400


def entering(desk: Desk, me: str = "chief", **fields: str) -> tuple[str, dict[str, str]]:
    """Return the path on which a prescription for Eve is entered as it should have been, and its form, typed over."""
    path = f"/events/{prescribed(desk.ward, patient='eve')}/mend"
    page = desk.see(path, me)
    stood = dict(re.findall(r'<input id="in-[^"]+" name="(input[^"]+)"[^>]* value="([^"]*)"', page.text))
    return path, {**form(page, path), **stood, **{f"input.{name}": told for name, told in fields.items()}}


def test_what_was_entered_wrongly_is_entered_rightly_and_what_differs_is_corrected(desk: Desk) -> None:
    before = recorded(desk)
    path, fields = entering(desk, dose_mg="50", patient="eve")
    entered = len(recorded(desk))

    shown = desk.send(path, {**fields, "do": "preview"})
    wrote = len(recorded(desk)) - entered
    hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', shown.text))
    again = desk.send(path, {**hidden, "item": PRESCRIBED})
    done = desk.follow(desk.send(path, {**hidden, "item": PRESCRIBED, "reason": "a nought was lost"}))

    assert (len(before), wrote, shown.status) == (0, 0, 200)
    for word in ("Nothing is written yet.", "changed tell", "secret eve: 5 mg secret eve: 50 mg", "remark personal"):
        assert word in shown.told
    assert (again.status, "say why: it is recorded" in again.told) == (400, True)
    assert "secret eve: 50 mg" in done.told or "event.correct committed" in done.told
    [correction] = desk.ward.client.runner.trail(kind="event.correct")
    assert (correction.input["changed"], correction.actor.id) == ({"dose_mg": 50}, "chief")
    # What stands is what is typed over the next time.
    assert 'value="50"' in desk.see(path).text


def test_what_is_typed_as_it_stands_is_no_correction_and_what_is_no_dose_stands_at_its_field(desk: Desk) -> None:
    path, fields = entering(desk)

    same = desk.send(path, {**fields, "do": "preview"})
    wrong = desk.send(path, {**fields, "input.dose_mg": "many", "do": "preview"})
    empty = desk.send(path, {**fields, "input.dose_mg": "", "do": "preview"})

    assert (same.status, wrong.status, empty.status) == (400, 400, 400)
    assert "nothing was typed otherwise than it stands" in same.told
    assert ('id="in-dose_mg-wrong"' in wrong.text, 'value="many"' in wrong.text) == (True, True)
    assert re.search("dose_mg ?: is needed", empty.told)


def test_a_text_that_may_be_left_out_can_be_taken_away(desk: Desk) -> None:
    path, fields = entering(desk, remark="")

    shown = desk.send(path, {**fields, "do": "preview"})

    assert (shown.status, "Nothing is written yet." in shown.told) == (200, True)


def test_what_is_hidden_stays_as_it_was_where_nothing_is_typed_over_it(desk: Desk) -> None:
    path, fields = entering(desk, "nurse", dose_mg="50")

    shown = desk.send(path, {**fields, "do": "preview"}, "nurse")
    guessed = desk.send(path, {**fields, "input.remark": "secret", "do": "preview"}, "nurse")

    assert (shown.status, guessed.status) == (200, 403)
    assert "left empty, it stays as it was" in shown.told
    assert "secret" not in shown.text
    assert fields["input.dose_mg"] == "50"


def test_approving_shows_what_is_sent_before(desk: Desk) -> None:
    runner = desk.ward.client.runner
    event = closed(desk)
    runner.correct(runner.diff(event, "2023-01-01"), actor=CHIEF_OF_ALL, reason="first")
    page = desk.see("/effects?state=held")
    [held] = runner.effects("held")
    action = f"/effects/{held.key}"

    done = desk.follow(desk.send(action, {**form(page, action), "act": "approve"}))

    assert page.told.index("closed, secret") < page.told.index("Approve: send it")
    assert f"Effect {held.key}, tell, is approved" in done.told
    assert [one.state for one in runner.effects()] == ["due"]
