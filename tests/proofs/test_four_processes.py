"""Four processes on one SQLite file: nothing is lost, and nobody waits for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.proofs.bank import Bank
from tests.proofs.crew import Orders, Told, sent
from tests.proofs.evidence import count
from tests.proofs.racing import on_sqlite

PROCESSES = 4


def crowd(bank: Bank, keys: int, *, only: str = "one", weakened: str = "", patience: float = 60) -> tuple[Told, str]:
    """Have four processes add a cent to an account, again and again; return what they told, and how it went."""
    bank.accounts(1 if only == "one" else PROCESSES)
    began = time.monotonic()

    told = sent(bank.url, Orders(keys=keys, processes=PROCESSES, only=only, weakened=weakened, patience=patience))

    rate = len(told.waits) / (time.monotonic() - began)
    return told, f"{len(told.waits)} events, {rate:.0f}/s with the start, longest wait {1000 * max(told.waits):.0f} ms"


@on_sqlite
def test_four_processes_on_one_file_lose_nothing_and_nobody_starves(
    bank: Bank, times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    keys = times(200)

    told, went = crowd(bank, keys)

    figure(went)
    assert not told.faults
    assert bank.cents() == {"a0": PROCESSES * keys}
    assert count(bank.engine, "dateline_event") == len(told.waits) == PROCESSES * keys
    # Far less than the patience that a request has, even on a busy machine.
    assert max(told.waits) < 10
    with bank.runner() as runner:
        assert runner.verify().ok


@on_sqlite
def test_control_without_the_guard_four_processes_lose_updates(bank: Bank, figure: Callable[[str], None]) -> None:
    told, went = crowd(bank, 100, weakened="unguarded")

    lost = len(told.waits) - bank.cents()["a0"]
    figure(f"{lost} updates lost; {went}")
    assert lost > 0


@on_sqlite
def test_a_process_that_works_on_rows_of_its_own_never_loses_a_try(bank: Bank, figure: Callable[[str], None]) -> None:
    told, went = crowd(bank, 100, only="own", patience=0)

    figure(went)
    assert not told.faults
    assert bank.cents() == {f"a{process}": 100 for process in range(PROCESSES)}


@on_sqlite
def test_control_where_a_transaction_begins_as_a_reader_tries_are_lost_to_whoever_writes_meanwhile(
    bank: Bank, figure: Callable[[str], None]
) -> None:
    told, went = crowd(bank, 100, only="own", weakened="deferred", patience=0)

    figure(f"{told.faults['Contention']} tries lost; {went}")
    assert told.faults["Contention"] > 0
