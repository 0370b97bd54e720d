"""A correction as it is told: each difference, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dateline.core.decision import OPEN
from dateline.core.diff import Item
from dateline.core.verdict import Verdict

__all__ = ["Corrected", "Correction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """One item of a correction, and what becomes of it.

    Args:
        item: The difference.
        verdicts: What is done; two of an effect whose content changes.
        chosen: Whether it was asked for.
    """

    item: Item
    verdicts: tuple[Verdict, ...]
    chosen: bool = True

    @property
    def key(self) -> str:
        """What names it."""
        return self.item.key

    @property
    def status(self) -> str:
        """What becomes of it; "open" of what was not asked for, and stays as it is."""
        if not self.chosen:
            return "open"
        stopped = next((one.status for one in self.verdicts if not one.performed), None)
        return stopped or self.verdicts[-1].status

    @property
    def performed(self) -> bool:
        """Whether it is performed."""
        return self.chosen and all(one.performed for one in self.verdicts)

    @property
    def detail(self) -> str:
        """The status as a sentence."""
        return "; ".join(one.detail for one in self.verdicts if one.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a correction does, or would do. False where nothing is performed.

    Args:
        root: The event that is corrected; `number` counts its corrections.
        items: Each difference, and what becomes of it.
        needs: "admit" or "revoke", where the outcome would change and nobody said that it may; then nothing is performed.
        readers: Later events that saw what is changed here; they are not decided again.
        event_id: The event that recorded it; None of a preview, and where there was nothing to do.
    """

    root: UUID
    seq: int
    number: int
    items: tuple[Corrected, ...]
    needs: str | None = None
    readers: tuple[int, ...] = ()
    event_id: UUID | None = None

    def __bool__(self) -> bool:
        """Whether anything is performed."""
        return self.needs is None and any(one.performed for one in self.items)

    def document(self) -> dict[str, Any]:
        """Return it as JSON's types, with keys that stay; without values, which the difference has."""
        return {
            "root": str(self.root),
            "seq": self.seq,
            "number": self.number,
            "event": None if self.event_id is None else str(self.event_id),
            "needs": self.needs,
            "readers": list(self.readers),
            "items": [
                {
                    "key": one.key,
                    "change": one.item.change,
                    "sort": one.item.shown.sort,
                    "of": one.item.shown.of,
                    "row": None if one.item.shown.row is OPEN else one.item.shown.row,
                    "status": one.status,
                    "performed": one.performed,
                    "detail": one.detail,
                    "cells": sorted(name for verdict in one.verdicts for name in verdict.cells),
                    "conflicts": sorted(name for verdict in one.verdicts for name in verdict.conflicts),
                    "later": [told.seq for verdict in one.verdicts for told in verdict.later],
                }
                for one in self.items
            ],
        }
