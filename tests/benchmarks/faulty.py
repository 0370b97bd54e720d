"""Contestants with a fault each, so that it is known to be seen."""

from __future__ import annotations

from typing import Any

import psycopg

from benchmarks.peers.by_hand import ByHand
from benchmarks.work import Unit


class Forgetful(ByHand):
    """Leaves one unit undone."""

    def _do(self, connection: psycopg.Connection[Any], unit: Unit) -> None:
        if unit.number != 13:
            super()._do(connection, unit)


class Failing(ByHand):
    """Fails at one unit."""

    def _do(self, connection: psycopg.Connection[Any], unit: Unit) -> None:
        if unit.number == 13:
            raise RuntimeError("the thirteenth")
        super()._do(connection, unit)
