"""The roles that the guide to PostgreSQL makes: what each must be able to do, it can, and nothing of the trail can be changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text

from dateline import Actor, Delivery, Relay, delivers
from dateline.errors import Unable
from dateline.run.reader import Reader
from dateline.run.runner import Runner
from tests.cli.bank import VERSIONS, Pay, Tell, lived, ticking
from tests.docs.page import ROOT, blocks

GUIDE = ROOT / "docs" / "guides" / "postgresql.md"
ROLES = {
    "shop_app": "change-me",
    "shop_auditor": "change-me-too",
    "shop_relay": "change-me-three",
    "shop_officer": "change-me-four",
}
OFFICER = Actor("officer", rights=frozenset({"effects", "erase"}))


@delivers(Tell)
def tell(effect: Tell, delivery: Delivery) -> None:
    """Nobody is told."""


@pytest.fixture
def granted(postgresql_url: str) -> Iterator[dict[str, str]]:
    """Give a URL for each role of the guide, to a database in which an application has lived."""
    lived(postgresql_url)
    [sql] = [block.text for block in blocks(GUIDE.read_text()) if block.language == "sql"]
    # Roles are the whole server's: another run of these tests may have its own at the same time.
    mine = {role: f"{role}_{make_url(postgresql_url).database}" for role in ROLES}
    for role, name in mine.items():
        sql = sql.replace(role, name)
    engine = create_engine(postgresql_url)
    with engine.begin() as connection:
        connection.execute(text(sql.replace(":", r"\:")))
    yield {
        role: make_url(postgresql_url).set(username=mine[role], password=password).render_as_string(hide_password=False)
        for role, password in ROLES.items()
    }
    with engine.begin() as connection:
        for name in reversed(mine.values()):
            connection.execute(text(f"DROP OWNED BY {name}"))
            connection.execute(text(f"DROP ROLE {name}"))
    engine.dispose()


def test_the_application_can_do_all_that_a_runner_does(granted: dict[str, str]) -> None:
    with Runner(granted["shop_app"], versions=VERSIONS, clock=ticking()) as runner:
        done = runner.dispatch(Pay(account="ann", cents=1_00), actor="ann", key="k")
        again = runner.dispatch(Pay(account="ann", cents=1_00), actor="ann", key="k")
        runner.preview(Pay(account="ann", cents=1_00), actor="ann", rehearse=True)
        with runner.together() as tx:
            tx.dispatch(Pay(account="ann", cents=1_00), actor="ann")

        assert again.event_id == done.event_id
        assert runner.sequence() == 6
        assert len(runner.trail()) == 6
        assert runner.verify().ok


def test_a_relay_delivers_and_who_erases_can(granted: dict[str, str]) -> None:
    with Runner(granted["shop_relay"], versions=VERSIONS, clock=ticking()) as runner:
        relay = Relay(runner, tell)
        thread = threading.Thread(target=relay.drain)
        thread.start()
        thread.join(20)
        relay.stop()
        assert not thread.is_alive()
        assert runner.effects() == ()
        runner.resume(actor=OFFICER)
        with pytest.raises(Unable, match="permission denied"):
            runner.erase("account:ann", actor=OFFICER, reason="asked for it")

    with Runner(granted["shop_officer"], versions=VERSIONS, clock=ticking()) as runner:
        assert runner.erase("account:ann", actor=OFFICER, reason="asked for it").removal is not None


@pytest.mark.parametrize("role", ["shop_app", "shop_auditor"])
def test_no_role_can_change_what_is_recorded(role: str, granted: dict[str, str]) -> None:
    url = make_url(granted[role]).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        for table in ("event", "operation", "effect", "subject", "personal", "claim", "position"):
            for change in (f"UPDATE dateline_{table} SET tenant = 'x'", f"DELETE FROM dateline_{table}"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(change)


def test_an_auditor_reads_and_verifies(granted: dict[str, str]) -> None:
    with Reader(granted["shop_auditor"]) as reader:
        assert [entry.kind for entry in reader.trail()] == ["open", "pay", "pay", "rename"]
        assert reader.verify().ok
