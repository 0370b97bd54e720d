"""`dateline verify`: says that all is as it was recorded, or which event is not."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, text

from tests.cli.bank import lived
from tests.cli.conftest import Ran

Dateline = Callable[..., Ran]


def _execute(database: str, statement: str) -> None:
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


TAMPERED = "UPDATE dateline_event SET body = replace(body, '900', '901') WHERE seq = 2"


def test_an_honest_trail_verifies(database: str, dateline: Dateline) -> None:
    lived(database)

    ran = dateline("verify", "--database", database)

    assert ran.status == 0
    assert ran.out == "4 events, 11 personal values and 0 erased: every digest is right.\n"


def test_a_changed_body_is_named_and_ends_with_1(database: str, dateline: Dateline) -> None:
    lived(database)
    _execute(database, TAMPERED)

    ran = dateline("verify", "--database", database)

    assert ran == Ran(
        1,
        "event 2: the body is not the one that was recorded\n4 events, 11 personal values and 0 erased: 1 fault.\n",
        "",
    )


def test_a_changed_personal_value_is_named_by_its_place(sqlite_url: str, dateline: Dateline) -> None:
    lived(sqlite_url)
    _execute(sqlite_url, "UPDATE dateline_personal SET value = '\"Eve\"' WHERE seq = 1 AND path = '/input/owner'")

    ran = dateline("verify", "--database", sqlite_url, "--json")

    assert ran.status == 1
    assert json.loads(ran.out) == {
        "events": 4,
        "values": 11,
        "erased": 0,
        "ok": False,
        "faults": [{"seq": 1, "fault": "the personal value at /input/owner is not the one that was recorded"}],
    }


@pytest.mark.parametrize(("tenant", "status"), [("", 1), ("other", 0)])
def test_one_tenant_can_be_verified_alone(tenant: str, status: int, sqlite_url: str, dateline: Dateline) -> None:
    lived(sqlite_url)
    _execute(sqlite_url, TAMPERED)

    assert dateline("verify", "--database", sqlite_url, "--tenant", tenant).status == status
