"""A relay that is told to end does so, also where the database is not there to be told what it did."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from dateline import Delivery, Effect, Event, Relay, Runner, Versions, Yields, delivers, handler
from dateline.testing.postgres import launch


class Ring(Effect, kind="ring", key="{number}"):
    number: int


class Call(Event, kind="call"):
    number: int


@handler
def ring(event: Call) -> Yields[Ring]:
    yield Ring(number=event.number)


VERSIONS = Versions.of({"2024-01-01": [Call, ring]})


def test_a_relay_whose_database_is_gone_ends_within_its_grace_and_keeps_no_core_busy() -> None:
    begun, gone = threading.Event(), threading.Event()

    @delivers(Ring)
    def ringing(effect: Ring, delivery: Delivery) -> None:
        begun.set()
        gone.wait(20)

    with launch(fsync=False) as server:
        runner = Runner(server.database("ring"), versions=VERSIONS)
        runner.migrate()
        runner.dispatch(Call(number=1), actor="desk")
        relay = Relay(runner, ringing, grace=timedelta(seconds=2))
        thread = threading.Thread(target=relay.run, daemon=True)
        thread.start()
        assert begun.wait(10)
    # The server is stopped; what was performed cannot be recorded.
    gone.set()
    time.sleep(1)
    began, busy = time.monotonic(), time.process_time()
    relay.stop()
    thread.join(12)

    assert not thread.is_alive()
    assert time.monotonic() - began < 8
    assert time.process_time() - busy < 2
    runner.close()
