"""The console shows people what happened and why: what they may see, as text whatever it holds, and with their look on record."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest
from fastapi import FastAPI

from dateline import Actor, AsyncRunner, DatelineError, Delivery, Relay, Runner, Versions, Yields, delivers, handler
from dateline.console.site import Console, console
from dateline.web.api import router
from tests.web.hospital import LAYERS, NEW, OLD, VERSIONS, Base, Client, Prescribe, Tell, authenticate
from tests.web.serving import served

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}\u202e'
HEAVIEST = 150_000


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
            yield Ward(Client(port, runner))


def prescribed(ward: Ward, remark: str = "secret", patient: str = "ann") -> str:
    ward.client.admit(patient)
    body = {"input": {"patient": patient, "dose_mg": 5, "remark": remark}, "reason": "by telephone"}
    return str(ward.client.send("prescribe", body).told["event"])


def paths(event: str, patient: str = "ann") -> dict[str, str]:
    """Return a path of each page."""
    return {
        "start": "/",
        "subject": f"/subjects/patient:{patient}",
        "event": f"/events/{event}",
        "compare": f"/events/{event}/compare?version={NEW}",
        "row": f"/rows/patient/{patient}",
        "catalogue": f"/kinds?version={OLD}",
        "kind": "/kinds/prescribe",
        "changes": "/changelog",
    }


def test_every_page_is_known_here() -> None:
    assert set(paths("x")) == set(Console.PAGES)
    assert set(Console.ROUTES) == {
        *Console.PAGES,
        *(f"{one}.json" for one in Console.PAGES),
        "style",
        "picture",
    }


def test_a_subjects_page_tells_what_happened_newest_first_and_in_whose_words(ward: Ward) -> None:
    prescribed(ward)
    ward.client.send("prescribe", {"input": {"patient": "ann", "dose": "5 g"}}, me=f"nurse/{OLD}")

    told = ward.page("/subjects/patient:ann").told

    assert [told.index(word) for word in ("rejected", "by telephone", "A patient comes in.")] == sorted(
        told.index(word) for word in ("rejected", "by telephone", "A patient comes in.")
    )
    for word in ("dose.unit in mg, please", "doses 0 1", "tell due", "prescribe of 2018-07-30", "remark secret"):
        assert word in told


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


def test_an_events_page_tells_what_became_of_its_effects(ward: Ward) -> None:
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

    told = ward.page(f"/events/{event}").told

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

    found = ward.page(path)

    assert (found.status, found.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert len(found.text) < HEAVIEST
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert (found.headers["referrer-policy"], found.headers["x-content-type-options"]) == ("no-referrer", "nosniff")
    assert not re.search(r"https?://", found.text)
    bare, _, query = path.partition("?")
    document = ward.page(f"{bare}.json" + (f"?{query}" if query else ""))
    assert (document.status, document.headers["content-type"]) == (200, "application/json")
    assert json.loads(document.text)
    assert ".json" in found.text


@pytest.mark.parametrize("page", sorted(Console.PAGES))
def test_hostile_texts_stay_texts_on_each_page(ward: Ward, page: str) -> None:
    event = prescribed(ward, HOSTILE, "x")
    body = {"input": {"patient": "x", "text": HOSTILE}, "reason": HOSTILE}
    ward.client.send("word", body, me=f"nurse/{OLD}")

    for me in ("doctor", "nurse"):
        for path in (paths(event, "x")[page], f"{paths(event, 'x')[page].partition('?')[0]}?kind=%22%3E%3Cscript%3E"):
            found = ward.page(path, me)
            parser = _Text()
            parser.feed(found.text)
            assert not {"script", "img"} & set(parser.tags) - ({"img"} if page in ("event", "kind") else set())
            assert "49" not in found.told.replace("2021", "")
    assert ward.page("/subjects/%3Cscript%3Ealert(1)%3C%2Fscript%3E").status == 200


@pytest.mark.parametrize("page", sorted(set(Console.PAGES) - {"start", "catalogue", "kind", "changes"}))
def test_each_page_that_shows_somebody_shows_them_to_whom_it_may_and_the_look_is_on_record(
    ward: Ward, page: str
) -> None:
    path = paths(prescribed(ward))[page]

    hidden, shown = ward.page(path, "nurse"), ward.page(path, "doctor")
    document = ward.page(path.replace("?", ".json?") if "?" in path else f"{path}.json", "nurse")
    elsewhere = ward.page(path, "north@doctor")

    assert [one.status for one in (hidden, shown, document)] == [200, 200, 200]
    # Both versions do the same, so a comparison has no value to show.
    shows = page != "compare"
    assert ("secret" in hidden.text, "secret" in document.text, "secret" in shown.text) == (False, False, shows)
    assert "secret" not in elsewhere.text
    looks = [(one.actor.id, one.door, one.unmasked) for one in ward.client.runner.accesses(subject="patient:ann")]
    assert looks == [("nurse", "console", False), ("doctor", "console", True), ("nurse", "console", False)]


@pytest.mark.parametrize("name", sorted(Console.ROUTES))
def test_nobody_who_is_not_known_sees_a_page_and_none_is_written_to(ward: Ward, name: str) -> None:
    path = re.sub(r"\{\w+(:anything)?\}", "x", Console.ROUTES[name][1])

    assert ward.page(path, None).status == 401
    assert ward.page(path, method="POST").status == 405


def test_whom_to_look_for_is_asked_on_every_page(ward: Ward) -> None:
    found = ward.page("/?subject=patient%3Aa%2Fb")

    assert (found.status, found.headers["location"]) == (303, "/console/subjects/patient%3Aa%2Fb")
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

    assert (first.text.count("<details"), then.text.count("<details")) == (20, 6)


def test_without_somebody_who_tells_who_looks_there_is_no_console(sqlite_url: str) -> None:
    with pytest.raises(DatelineError, match="pass authenticate="):
        console(AsyncRunner(sqlite_url, versions=VERSIONS))
