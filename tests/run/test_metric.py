"""Whoever collects figures with OpenTelemetry gets those of deliveries."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from dateline import AsyncRelay, Delivery, Effect, Event, Runner, Undeliverable, Versions, Yields, delivers, handler
from dateline.run import metric


class Beep(Effect, kind="beep", key="{to}"):
    to: str


class Call(Event, kind="call"):
    to: tuple[str, ...]


@handler
def call(event: Call) -> Yields[Beep]:
    for to in event.to:
        yield Beep(to=to)


@delivers(Beep)
def beep(effect: Beep, delivery: Delivery) -> None:
    if effect.to == "nobody":
        raise Undeliverable


def test_tries_are_counted_by_what_came_of_them_and_the_queue_is_told(tmp_path: Path) -> None:
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    metric._instruments.cache_clear()
    with Runner(f"sqlite:///{tmp_path / 'a.db'}", versions=Versions.of({"2024-01-01": [Call, call]})) as runner:
        runner.migrate()
        runner.dispatch(Call(to=("ann", "bob", "nobody")), actor="desk")
        relay = AsyncRelay(runner, beep)

        async def go() -> None:
            await relay.drain()
            runner.dispatch(Call(to=()), actor="desk")
            await asyncio.sleep(0.1)
            await relay._look()

        asyncio.run(go())

    found = told(reader)
    assert found["dateline.deliveries"] == {("beep", "delivered"): 2, ("beep", "dead"): 1}
    assert {state: count for (state,), count in found["dateline.queue"].items() if count} == {"dead": 1}
    assert found["dateline.lag"] == {(): 0.0}
    # What came of tries was recorded behind their event; the one after that is seen by nobody yet.
    assert (found["dateline.feed.pending"], 0.05 <= found["dateline.feed.lag"][()] < 60) == ({(): 1}, True)
    assert sum(found["dateline.delivery.duration"].values()) == 3


def told(reader: InMemoryMetricReader) -> dict[str, dict[tuple[Any, ...], Any]]:
    """Return each instrument's points by the values of their attributes."""
    data: Any = reader.get_metrics_data()
    return {
        one.name: {
            tuple(point.attributes.values()): getattr(point, "value", getattr(point, "count", None))
            for point in one.data.data_points
        }
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for one in scope.metrics
    }
