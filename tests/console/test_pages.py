"""The console shows people what happened and why: what they may see, as text whatever it holds, and with their look on record."""

from __future__ import annotations

import http.client
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from dateline import (
    Actor,
    AsyncRunner,
    DatelineError,
    Delivery,
    Look,
    Reason,
    Relay,
    Runner,
    Versions,
    Yields,
    delivers,
    handler,
)
from dateline.console.pages.told import PAGE
from dateline.console.site import Console, console
from dateline.web.api import router
from tests.web.hospital import LAYERS, NEW, OLD, VERSIONS, Admit, Base, Client, Prescribe, Tell, admit, authenticate
from tests.web.serving import served
from tests.web.test_accesses import Round, seen_on_the_round

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 1234567*7654321 }}\u202e'
# What that is where a page runs it; no clock shows it by chance.
RUN = "9449772114007"
HEAVIEST = 150_000
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@dataclass
class Page:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def told(self) -> str:
        """What a person reads of it."""
        found = _Text()
        found.feed(self.text)
        return " ".join(" ".join(found.said).split())


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.tags: list[str] = []

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs), attrs


@dataclass
class Ward:
    client: Client
    url: str = ""

    def page(self, path: str, me: str | None = "doctor", method: str = "GET") -> Page:
        connection = http.client.HTTPConnection("127.0.0.1", self.client.port, timeout=20)
        try:
            connection.request(method, f"/console{path}", headers={"authorization": f"Bearer {me}"} if me else {})
            found = connection.getresponse()
            return Page(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read().decode())
        finally:
            connection.close()


@pytest.fixture
def url(sqlite_url: str) -> str:
    """Give the URL of a fresh database; what differs between databases is the API's suite's."""
    return sqlite_url


@pytest.fixture
def ward(url: str) -> Iterator[Ward]:
    with watched(url) as found:
        yield found


@contextmanager
def watched(url: str, versions: Versions = VERSIONS) -> Iterator[Ward]:
    with Runner(url, versions=versions) as runner:
        runner.migrate()
        Base.metadata.create_all(runner.engine)

        def app(served: AsyncRunner) -> FastAPI:
            made = FastAPI(openapi_url=None)
            made.include_router(router(served, authenticate=authenticate), prefix="/api")
            made.include_router(console(served, authenticate=authenticate), prefix="/console")
            return made

        with served(lambda: AsyncRunner(url, versions=versions), app) as port:
            yield Ward(Client(port, runner), url)


def prescribed(ward: Ward, remark: str = "secret", patient: str = "ann") -> str:
    ward.client.admit(patient)
    body = {"input": {"patient": patient, "dose_mg": 5, "remark": remark}, "reason": "by telephone"}
    return str(ward.client.send("prescribe", body).told["event"])


def paths(event: str, patient: str = "ann") -> dict[str, str]:
    """Return a path of each page."""
    return {
        "start": "/",
        "subject": f"/subjects/patient:{patient}",
        "accesses": f"/subjects/patient:{patient}/accesses",
        "event": f"/events/{event}",
        "compare": f"/events/{event}/compare?version={NEW}",
        "correct": f"/events/{event}/correct?version={NEW}",
        "mend": f"/events/{event}/mend",
        "row": f"/rows/patient/{patient}",
        "catalogue": f"/kinds?version={OLD}",
        "kind": "/kinds/prescribe",
        "changes": "/changelog",
        "between": f"/between?base={OLD}&version={NEW}&events=10",
        "effects": "/effects",
        "try": f"/kinds/prescribe/try?version={OLD}",
    }


RIGHTLY = {"accesses": "auditor"}
"""Who may see a page that not everybody may."""


def test_every_page_is_known_here() -> None:
    assert set(paths("x")) == set(Console.PAGES)
    assert set(Console.ROUTES) == {
        *Console.PAGES,
        *(f"{one}.json" for one in Console.PAGES),
        "icon",
        *Console.ACTS,
        "style",
        "htmx",
        "script",
        "picture",
    }


def test_a_subjects_page_tells_what_happened_newest_first_and_in_whose_words(ward: Ward) -> None:
    prescribed(ward)
    ward.client.send("prescribe", {"input": {"patient": "ann", "dose": "5 g"}}, me=f"nurse/{OLD}")

    told = ward.page("/subjects/patient:ann").told

    assert [told.index(word) for word in ("rejected", "by telephone", "A patient comes in.")] == sorted(
        told.index(word) for word in ("rejected", "by telephone", "A patient comes in.")
    )
    seen = re.search(r"Seen Sight\.patient (.*?) Changed", told)
    for word in ("dose.unit in mg, please", "doses 0 1", "tell due", "prescribe of 2018-07-30", "remark secret"):
        assert word in told
    assert seen is not None
    assert "name secret ann" in seen[1]
    assert "secret ann" not in ward.page("/subjects/patient:ann", "nurse").text


def test_an_events_page_tells_what_was_seen_and_what_followed(ward: Ward) -> None:
    event = prescribed(ward)

    told = ward.page(f"/events/{event}").told

    for word in (
        "prescribe committed",
        "Why by telephone",
        "Decided under 2021-10-04",
        "Seen",
        "Sight.patient",
        "secret ann",
    ):
        assert word in told
    assert ward.page("/kinds/prescribe/cascade.svg").headers["content-type"] == "image/svg+xml"


def test_what_lies_between_two_versions_is_told_whichever_comes_first_and_what_it_would_have_changed(
    ward: Ward,
) -> None:
    ward.client.admit()
    old = str(
        ward.client.send("prescribe", {"input": {"patient": "ann", "dose": "5 mg"}}, me=f"nurse/{OLD}").told["event"]
    )

    one, other, alone = (
        json.loads(ward.page(f"/between.json?{query}").text)
        for query in (f"base={OLD}&version={NEW}&events=100", f"base={NEW}&version={OLD}", f"base={NEW}&version={NEW}")
    )

    assert (one["base"], one["version"], one["changes"]) == (str(OLD), str(NEW), other["changes"])
    [change] = [found for found in one["changes"] if found["kind"] == "prescribe"]
    assert change["fields"] == ["-dose", "-note", "+dose_mg", "+remark"]
    assert (alone["changes"], alone["impact"], other["impact"]) == ([], None, None)
    assert {name: one["impact"][name] for name in ("events", "failed", "more")} == {"events": 2, "failed": 0, "more": 0}
    for found in one["impact"]["changes"]:
        assert (found["example"]["id"], found["example"]["kind"]) == (old, "prescribe")
    assert ward.page("/between?events=7000").status == 400
    elsewhere = json.loads(ward.page("/between.json?events=100", "north@doctor").text)
    assert (elsewhere["impact"]["events"], elsewhere["impact"]["changes"]) == (0, [])


@pytest.mark.parametrize(
    ("wrote", "told"),
    [
        ("UPDATE patient SET name = 'Eve', doses = 7", "changed the row past the trail"),
        ("DELETE FROM patient", "took the row away past the trail"),
    ],
)
def test_a_row_that_was_written_past_the_trail_says_so(ward: Ward, wrote: str, told: str) -> None:
    prescribed(ward)
    before = ward.page("/rows/patient/ann").told
    with ward.client.runner.engine.begin() as connection:
        connection.execute(text(wrote))

    seen, hidden = (ward.page("/rows/patient/ann", me).told for me in ("doctor", "nurse"))

    assert "The table says otherwise" not in before
    assert (told in seen, told in hidden) == (True, True)
    if "UPDATE" in wrote:
        assert ("doses 1 7" in seen, "Eve" in seen, "Eve" in hidden) == (True, True, False)
    assert ward.page("/rows/patient/ann", "north@doctor").status == 404


def test_an_event_stands_in_the_line_of_what_brought_it_about_and_what_came_of_it(ward: Ward) -> None:
    def caused(cause: str | None, remark: str) -> str:
        body = {"input": {"patient": "ann", "dose_mg": 5, "remark": remark}}
        return str(ward.client.send("prescribe", body | ({"cause": cause} if cause else {})).told["event"])

    ward.client.admit()
    first = caused(None, "first")
    middle = caused(first, "middle")
    leaves = [caused(middle, f"leaf {number}") for number in range(2)]
    caused(first, "another line")
    alone = caused(None, "alone")

    def tree(node: dict[str, Any]) -> Any:
        return (node["id"], node["here"], [tree(one) for one in node["followed"]])

    told = json.loads(ward.page(f"/events/{middle}.json").text)
    assert tree(told["line"]) == (
        first,
        False,
        [(middle, True, [(leaf, False, []) for leaf in leaves])],
    )
    assert json.loads(ward.page(f"/events/{alone}.json").text)["line"] is None
    page = ward.page(f"/events/{middle}")
    assert "Causes and consequences" in page.told
    assert [
        one in page.text for one in (f'href="/console/events/{first}"', *(f"/events/{leaf}" for leaf in leaves))
    ] == [True] * 3
    # Who looks at one sees that there are others: they are on record, too.
    [look, *_] = ward.client.runner.accesses(subject="patient:ann", limit=1)
    assert (look.door, look.view) == ("console", "event")


def test_a_line_that_is_too_long_to_be_shown_says_where_it_goes_on(ward: Ward) -> None:
    ward.client.admit()
    events: list[str] = []
    for _ in range(17):
        body: dict[str, Any] = {"input": {"patient": "ann", "dose_mg": 5}}
        body |= {"cause": events[-1]} if events else {}
        events.append(str(ward.client.send("prescribe", body).told["event"]))

    node = json.loads(ward.page(f"/events/{events[11]}.json").text)["line"]

    shown = []
    while node:
        shown.append((node["id"], node["kind"], node.get("more")))
        [node] = node["followed"] or [None]
    assert shown == [
        (events[0], None, False),
        *((one, "prescribe", False) for one in events[1:11]),
        *((one, "prescribe", False) for one in events[11:15]),
        (events[15], "prescribe", None),
    ]


def test_the_cascade_of_an_event_tells_who_came_to_something(ward: Ward) -> None:
    event = prescribed(ward)

    page = ward.page(f"/events/{event}")
    [picture] = re.findall(r'<img src="/console(/kinds/prescribe/cascade.svg[^"]+)"', page.text)
    marked = ward.page(picture.replace("&amp;", "&")).text

    assert "fired=" in picture
    assert ("✓" in marked, "It came to something this time." in marked) == (True, True)
    assert "✓" not in ward.page("/kinds/prescribe/cascade.svg").text
    assert "came to something this time" not in ward.page("/kinds/prescribe/cascade.svg?fired=nobody").text


def test_what_became_of_an_events_effects_is_told_on_its_page_and_its_subjects(ward: Ward) -> None:
    event = prescribed(ward)

    @delivers(Tell)
    def tell(effect: Tell, delivery: Delivery) -> str:
        if delivery.tries == 1:
            raise OSError
        return "sms-17"

    relay = Relay(ward.client.runner, tell)
    relay.drain()
    [queued] = ward.client.runner.effects()
    ward.client.runner.retry(queued.key, actor=Actor("chief", rights=frozenset({"effects"})))
    relay.drain()

    for path in (f"/events/{event}", "/subjects/patient:ann"):
        told = ward.page(path).told

        assert "tell delivered" in told
        assert re.search(r"UTC failed OSError .* UTC delivered as sms-17", told)


def test_two_versions_are_compared_side_by_side_in_whose_words(url: str) -> None:
    @handler
    def page_the_ward(event: Prescribe) -> Yields[Tell]:
        """From 2023 on the ward is told too."""
        yield Tell(patient="ward", text=event.dose)

    with watched(url, Versions.of({**LAYERS, "2023-01-01": [page_the_ward]})) as ward:
        event = prescribed(ward)

        same = ward.page(f"/events/{event}/compare").told
        differs = ward.page(f"/events/{event}/compare?version={NEW}").told
        both = ward.page(f"/events/{event}/compare?base={NEW}&version=2023-01-01", "nurse").told

    assert "Both do the same." in same
    assert "gone tell" in differs
    assert "From 2023 on the ward is told too." in differs
    assert "new tell" in both
    assert "5 mg" not in both


def test_a_rows_page_tells_its_history_field_by_field_and_how_it_was(ward: Ward) -> None:
    event = prescribed(ward)
    entry = ward.client.runner.trail(limit=1, kind="prescribe")[0]

    now = ward.page("/rows/patient/ann").told
    then = ward.page(f"/rows/patient/ann?at={entry.recorded_at.isoformat().replace('+00:00', 'Z')}").told

    assert "doses 0 1" in now
    assert "As the last event left it doses 1" in now
    assert "As it was" in then
    assert event


def test_the_catalogue_tells_of_any_version(ward: Ward) -> None:
    old, new = (ward.page(f"/kinds/prescribe?version={day}").told for day in (OLD, NEW))

    assert ("dose_mg" in new, "dose_mg" in old, "dose str" in old) == (True, False, True)
    assert "instead" in ward.page("/changelog").told or "fields" in ward.page("/changelog").told


@pytest.mark.parametrize("page", sorted(Console.PAGES))
def test_each_page_is_small_runs_nothing_and_has_its_document_beside_it(ward: Ward, page: str) -> None:
    path = paths(prescribed(ward))[page]

    found = ward.page(path, RIGHTLY.get(page, "doctor"))

    assert (found.status, found.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert len(found.text) < HEAVIEST
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    # One page grows, by what is ours and whole: no page has a script in it.
    assert ("script-src 'self'; connect-src 'self'" in policy, "script-src" in policy) == ((page == "subject"),) * 2
    assert re.findall(r"<script[^>]*>.{9}", found.text) == (
        [f'<script src="/console/{one}" defer></script>' for one in ("htmx.min.js", "console.js")]
        if page == "subject"
        else []
    )
    kept = sum(len(ward.page(f"/{one}").text) for one in ("htmx.min.js", "console.js", "console.css"))
    assert kept + len(found.text) < HEAVIEST
    assert (found.headers["referrer-policy"], found.headers["x-content-type-options"]) == ("same-origin", "nosniff")
    assert not re.search(r"https?://", found.text)
    bare, _, query = path.partition("?")
    document = ward.page(f"{bare}.json" + (f"?{query}" if query else ""), RIGHTLY.get(page, "doctor"))
    assert (document.status, document.headers["content-type"]) == (200, "application/json")
    assert json.loads(document.text)
    assert ".json" in found.text


@pytest.mark.parametrize("page", sorted(Console.PAGES))
def test_hostile_texts_stay_texts_on_each_page(ward: Ward, page: str) -> None:
    event = prescribed(ward, HOSTILE, "x")
    body = {"input": {"patient": "x", "text": HOSTILE}, "reason": HOSTILE}
    ward.client.send("word", body, me=f"nurse/{OLD}")

    for me in ("doctor", "nurse", "auditor"):
        for path in (paths(event, "x")[page], f"{paths(event, 'x')[page].partition('?')[0]}?kind=%22%3E%3Cscript%3E"):
            found = ward.page(path, me)
            parser = _Text()
            parser.feed(found.text)
            assert parser.tags.count("script") == 2 * (page == "subject")
            assert "img" not in parser.tags or page in ("event", "kind")
            assert RUN not in found.told
    assert ward.page("/subjects/%3Cscript%3Ealert(1)%3C%2Fscript%3E").status == 200


OTHERS = {"start", "catalogue", "kind", "changes", "between", "try", "accesses"}
"""Pages that show nothing of anybody, and the one that has rules of its own."""


@pytest.mark.parametrize("page", sorted(set(Console.PAGES) - OTHERS))
def test_each_page_that_shows_somebody_shows_them_to_whom_it_may_and_the_look_is_on_record(
    ward: Ward, page: str
) -> None:
    path = paths(prescribed(ward))[page]

    hidden, shown = ward.page(path, "nurse"), ward.page(path, "doctor")
    document = ward.page(path.replace("?", ".json?") if "?" in path else f"{path}.json", "nurse")
    elsewhere = ward.page(path, "north@doctor")

    assert [one.status for one in (hidden, shown, document)] == [200, 200, 200]
    # Both versions do the same, so a comparison has no value to show.
    shows = page not in ("compare", "correct")
    assert ("secret" in hidden.text, "secret" in document.text, "secret" in shown.text) == (False, False, shows)
    assert "secret" not in elsewhere.text
    looks = [(one.actor.id, one.door, one.unmasked) for one in ward.client.runner.accesses(subject="patient:ann")]
    assert looks == [("nurse", "console", False), ("doctor", "console", True), ("nurse", "console", False)]


def test_who_looked_is_shown_newest_first_to_those_with_the_right_and_is_a_look_itself(ward: Ward) -> None:
    event = prescribed(ward)
    for path in ("/subjects/patient:ann", f"/events/{event}"):
        ward.page(path)
    seconded = Look(actor=Actor("dr-9", role="surgeon"), door="cli", view="row", subjects=("patient:ann",))
    ward.client.runner.look(replace(seconded, reason=Reason("a second opinion")))

    denied, shown = (ward.page("/subjects/patient:ann/accesses", me) for me in ("doctor", "auditor"))
    document = json.loads(ward.page("/subjects/patient:ann/accesses.json", "auditor").text)
    elsewhere = ward.page("/subjects/patient:ann/accesses", "north@auditor")

    assert (denied.status, shown.status, "dr-9" in denied.text) == (403, 200, False)
    told = [
        "doctor denied accesses through the console",
        "dr-9 surgeon shown row through the command line : a second opinion",
        "doctor shown event through the console, personal values too",
        "doctor shown timeline through the console, personal values too",
    ]
    assert [one for one in told if one not in shown.told] == []
    assert [shown.told.index(one) for one in told] == sorted(shown.told.index(one) for one in told)
    looks = [(one["actor"]["id"], one["view"], one["outcome"]) for one in document["accesses"]]
    assert looks[:3] == [("auditor", "accesses", "shown"), ("doctor", "accesses", "denied"), ("dr-9", "row", "shown")]
    assert "No look is on record." in elsewhere.told
    assert len(ward.client.runner.accesses(subject="patient:ann", actor="auditor")) == 2


def test_who_looked_is_led_to_from_their_page_for_those_alone_who_may_know(ward: Ward) -> None:
    prescribed(ward)

    led = [
        "/subjects/patient:ann/accesses" in ward.page("/subjects/patient:ann", me).text for me in ("doctor", "auditor")
    ]

    assert led == [False, True]


def test_who_looked_is_told_page_by_page(ward: Ward) -> None:
    for number in range(25):
        ward.client.runner.look(Look(actor=Actor(f"dr-{number}"), door="ward", view="event", subjects=("patient:ann",)))

    first = ward.page("/subjects/patient:ann/accesses", "auditor")
    [further] = re.findall(r'rel="next" href="([^"]+)"', first.text)
    then = ward.page(further.removeprefix("/console").replace("&amp;", "&"), "auditor")

    numbers = [re.findall(r"<b>dr-(\d+)</b>", one.text) for one in (first, then)]
    assert numbers == [[str(one) for one in range(24, 24 - PAGE, -1)], [str(one) for one in range(24 - PAGE, -1, -1)]]


def test_hostile_texts_of_looks_stay_texts(ward: Ward) -> None:
    actor = Actor(HOSTILE, role=HOSTILE, on_behalf_of=HOSTILE)
    look = Look(actor=actor, door=HOSTILE, view=HOSTILE, subjects=(HOSTILE,), reason=Reason(HOSTILE))
    ward.client.runner.look(look)

    found = ward.page(f"/subjects/{quote(HOSTILE, safe='')}/accesses", "auditor")
    parser = _Text()
    parser.feed(found.text)

    assert (found.status, found.told.count("onerror=alert(1)") > 5) == (200, True)
    assert not {"script", "img"} & set(parser.tags)
    assert RUN not in found.told


@pytest.mark.parametrize(
    ("view", "path"),
    [("timeline", "/subjects/ward:7.json"), ("history", "/rows/patient/ann.json"), ("event", "/events/{id}")],
)
def test_a_page_is_a_look_at_all_whose_personal_values_it_holds(url: str, view: str, path: str) -> None:
    with watched(url, Versions.of({OLD: [Admit, admit, Round, seen_on_the_round]})) as ward:
        ward.client.admit()
        # So many that none of a page's events is about her.
        for _ in range(PAGE):
            event = ward.client.send("round", {"input": {"ward": "7", "patient": "ann"}}).told["event"]

        assert "secret ann" in ward.page(path.replace("{id}", event)).text

        for subject in ("patient:ann", "ward:7"):
            found = [(one.actor.id, one.view) for one in ward.client.runner.accesses(subject=subject)]
            assert found == [("doctor", view)]


@pytest.mark.parametrize("name", sorted(Console.ROUTES))
def test_nobody_who_is_not_known_sees_a_page_and_none_is_written_to(ward: Ward, name: str) -> None:
    method, template, _ = Console.ROUTES[name]
    path = re.sub(r"\{\w+(:anything)?\}", "x", template)

    assert ward.page(path, None, method).status == 401
    if template not in {act for act, *_ in Console.ACTS.values()}:
        assert ward.page(path, method="POST").status == 405


def test_htmx_is_as_it_was_released_beside_its_licence() -> None:
    static = files("dateline.console").joinpath("static")

    assert "Zero-Clause BSD" in static.joinpath("htmx.LICENSE").read_text()
    released = "71ea67185bfa8c98c39d31717c6fce5d852370fcdfd129db4543774d3145c0de"
    assert sha256(static.joinpath("htmx.min.js").read_bytes()).hexdigest() == released


def test_whom_to_look_for_is_asked_on_every_page(ward: Ward) -> None:
    found = ward.page("/?subject=patient%3Aa%2Fb")

    assert (found.status, found.headers["location"]) == (303, "/console/subjects/patient:a%2Fb")
    assert ward.page("/events/x").told.startswith("There is no event")


def test_the_overview_counts_and_names_nobody(ward: Ward) -> None:
    prescribed(ward)
    ward.client.send("prescribe", {"input": {"patient": "ann", "dose": "5 g"}}, me=f"nurse/{OLD}")

    for span in ("24h", "7d", "30d"):
        found = ward.page(f"/?span={span}")
        told = json.loads(ward.page(f"/.json?span={span}").text)

        # Where the callers were pinned, an event each.
        assert {name: sum(counts) for name, counts in told["events"].items()} == {"committed": 3, "rejected": 1}
        assert told["rejections"] == {"dose.unit": 1}
        assert len(told["times"]) == int(span.rstrip("hd"))
        for word in (
            "Events, by what became of them",
            "dose.unit: 1",
            "1 due",
            "3 committed, 1 rejected",
            "As a table",
        ):
            assert word in found.told, word
    assert "1 rejected" not in ward.page("/", "north@doctor").told
    assert ward.page("/?span=9d").status == 400
    assert ward.client.runner.accesses() == ()


def test_a_page_leads_to_what_was_before(ward: Ward) -> None:
    ward.client.admit()
    for _ in range(25):
        ward.client.send("prescribe", {"input": {"patient": "ann", "dose_mg": 1}})

    first = ward.page("/subjects/patient:ann")
    [further] = re.findall(r'rel="next" href="([^"]+)"', first.text)
    then = ward.page(further.removeprefix("/console").replace("&amp;", "&"))

    assert (first.text.count("<details>"), then.text.count("<details>")) == (PAGE, 26 - PAGE)


def test_without_somebody_who_tells_who_looks_there_is_no_console(sqlite_url: str) -> None:
    with pytest.raises(DatelineError, match="pass authenticate="):
        console(AsyncRunner(sqlite_url, versions=VERSIONS))
