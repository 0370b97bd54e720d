"""A new installation has few rows, where SERIALIZABLE sees conflicts that are none: nobody may be told of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import text

from dateline import Runner
from dateline.errors import Contention
from dateline.sql import postgres
from tests.proofs.bank import Add, Bank, seconds
from tests.proofs.evidence import count
from tests.proofs.racing import in_order, on_every_path, on_newest, race
from tests.proofs.sabotage import ThreeTries, Through, Watching, through

CLIENTS = 8


def apart(runner: Through, accounts: list[str], each: int) -> tuple[int, list[float]]:
    """Have every client work on a row of its own; return how many commits were tried, and how long each dispatch took."""
    tries: Counter[str] = Counter()
    runner.made = lambda engine: Watching(engine, lambda _: tries.update(["commit"]))

    def work(index: int) -> list[float]:
        took = []
        for _ in range(each):
            began = time.perf_counter()
            runner.dispatch(Add(account=accounts[index], cents=1), actor=f"client-{index}")
            took.append(time.perf_counter() - began)
        return took

    waited = [one for took in race(CLIENTS, work) for one in took]
    return tries["commit"], waited


def analyzed(bank: Bank) -> list[str]:
    """Open the accounts, and let the server know that they are few: then it reads the whole table, and so everybody's row."""
    accounts = bank.accounts(CLIENTS)
    with bank.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    return accounts


@on_every_path
def test_eight_clients_on_eight_rows_of_their_own_are_never_refused(
    bank: Bank, path: Callable[[Runner], None], times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    accounts, each = analyzed(bank), times(75)
    runner = bank.opened(through)
    path(runner)

    tries, waited = apart(runner, accounts, each)

    done = CLIENTS * each
    figure(
        f"{tries / done:.2f} tries a commit ({1 - done / tries:.0%} of tries lost), "
        f"mean {1000 * sum(waited) / done:.1f} ms, longest {1000 * max(waited):.0f} ms"
    )
    assert set(bank.cents().values()) == {each}
    assert count(bank.engine, "dateline_event") == done


@on_newest
def test_control_with_three_retries_somebody_is_refused(
    bank: Bank, times: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = analyzed(bank)
    # By its index a row is read alone, and then three retries do; as PostgreSQL would plan it, all of a small table is read.
    monkeypatch.setattr(postgres, "SESSION", postgres.SESSION.replace("; SET enable_seqscan = off", ""))
    # SQLite waits by itself for the one before; without that patience it loses tries as PostgreSQL does.
    runner = bank.opened(through, busy=seconds(0))
    runner.budget = ThreeTries
    in_order(runner)

    with pytest.raises(Contention, match="gave up after 4 tries"):
        apart(runner, accounts, times(75))
