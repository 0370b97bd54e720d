"""Relays and followers in processes of their own, to be killed: `python -m tests.proofs.postoffice relay|careless|follow URL FILE`.

A relay's receiver is a file: a line for each effect that arrives, written before the relay hears that it did. So a kill in between is one
that nobody can tell from one before it.
"""

from __future__ import annotations

import os
import random
import sys
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import create_engine, text

from dateline import Delivery, Effect, Event, Relay, Retry, Runner, Versions, Yields, delivers, handler

__all__ = ["LETTERS", "Send", "lines"]


class Letter(
    Effect,
    kind="letter",
    key="{number}",
    retry=Retry(timeout=timedelta(milliseconds=700), first=timedelta(milliseconds=10)),
):
    number: int


class Send(Event, kind="send"):
    first: int
    many: int = 10


@handler
def send(event: Send) -> Yields[Letter]:
    for number in range(event.first, event.first + event.many):
        yield Letter(number=number)


LETTERS = Versions.of({"2024-01-01": [Send, send]})

LEASE = timedelta(seconds=1)


def received(path: str, line: str) -> None:
    """Append a line; a small one is written whole or not at all."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


def lines(path: Path) -> list[str]:
    """Return the whole lines of a file."""
    return path.read_text().split("\n")[:-1] if path.exists() else []


def relay(url: str, path: str, *, resend: bool) -> None:
    dice = random.Random(os.getpid())

    @delivers(Letter, resend=resend)
    def deliver(effect: Letter, delivery: Delivery) -> None:
        time.sleep(dice.random() * 0.02)
        received(path, f"{delivery.id} {os.getpid()}")
        time.sleep(dice.random() * 0.02)

    with Runner(url, versions=LETTERS) as runner:
        Relay(runner, deliver, workers=8, lease=LEASE, poll=timedelta(milliseconds=20)).run()


def careless(url: str, path: str) -> None:
    """Do without leases, as a naive worker does: look, send, mark."""
    engine = create_engine(url)
    while True:
        with engine.connect() as connection:
            due = connection.execute(
                text(
                    "SELECT d.tenant, d.seq, d.ordinal, e.id FROM dateline_delivery d JOIN dateline_effect e "
                    "ON e.seq = d.seq AND e.ordinal = d.ordinal WHERE d.state = 'due' ORDER BY d.seq, d.ordinal LIMIT 8"
                )
            ).all()
        for tenant, seq, ordinal, id in due:
            received(path, f"{id} {os.getpid()}")
            with engine.begin() as connection:
                connection.execute(
                    text("DELETE FROM dateline_delivery WHERE tenant = :t AND seq = :s AND ordinal = :o"),
                    {"t": tenant, "s": seq, "o": ordinal},
                )
        time.sleep(0 if due else 0.02)


def follow(url: str, path: str) -> None:
    """Follow the feed from where the file ends: what was written of a last line that is torn counts for nothing."""
    whole = "".join(f"{line}\n" for line in lines(Path(path)))
    Path(path).write_text(whole)
    after = whole.rstrip("\n").rpartition("\n")[2].split(" ")[0] or None
    with Runner(url, versions=LETTERS) as runner:
        for notice in runner.feed(after=after, poll=timedelta(milliseconds=50)):
            about = f"event {notice.entry.seq}" if notice.entry is not None else "change"
            received(path, f"{notice.cursor} {notice.position} {about}")


if __name__ == "__main__":
    what, url, path = sys.argv[1:]
    match what:
        case "relay" | "resending":
            relay(url, path, resend=what == "resending")
        case "careless":
            careless(url, path)
        case "follow":
            follow(url, path)
