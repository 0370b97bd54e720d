"""A row's image as the trail keeps it: the database's own text, with the personal columns taken out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

from dateline.core.canon import canonical
from dateline.core.event import places
from dateline.core.personal import Sealer, below
from dateline.core.plan import Change
from dateline.core.table import table_of
from dateline.core.version import Versions

__all__ = ["RowSealer"]


class RowSealer:
    """Knows which columns are personal, and whose: by the tables' own marks and by the records of all versions."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._subjects: dict[Any, str] = {}
        used = (field.record for cascade in versions.cascades() for field in cascade.fields if field.record is not None)
        for record in dict.fromkeys((*versions.records, *used)):
            if record.__subject__:
                self._subjects.setdefault(record.__table__, record.__subject__)

    @staticmethod
    @cache
    def _named(mapped: Any) -> Mapping[str, str] | None:
        """Return each column's name in the database by its name in the mapped class; None where they are the same."""
        names = {name: column.name for name, column in mapped.__mapper__.columns.items()}
        return None if all(name == named for name, named in names.items()) else names

    def personal(self, mapped: Any) -> Mapping[str, str]:
        """Return a table's personal columns, with their names in the mapped class."""
        return self._versions.personal(mapped)

    def owner(self, change: Change, key: tuple[Any, ...], sealer: Sealer) -> str | None:
        """Return whose a row's personal values are, where its key tells or nobody in particular is named; None where other columns do."""
        template = self._subjects.get(change.mapped)
        if template is None:
            return sealer.subject
        known = dict(zip(table_of(change.mapped).key, key, strict=True))
        if not set(places(template)) <= known.keys() or not all(type(value) in (str, int, UUID) for value in key):
            return None
        return template.format_map(known)

    def whose(self, mapped: Any, image: Mapping[str, Any]) -> str | None:
        """Return whose the personal values of a row are, by the records of the versions; None where they do not say."""
        template = self._subjects.get(mapped)
        if template is None:
            return None
        return template.format_map({name: image.get(c.name) for name, c in mapped.__mapper__.columns.items()})

    def declared(self, sealer: Sealer, change: Change) -> str:
        """Return the column `declared` of an operation: what its steps name."""
        values = change.values
        names, personal = self._named(change.mapped), self.personal(change.mapped)
        declared = values if names is None else {names[name]: value for name, value in values.items()}
        if not personal:
            return canonical(declared).decode()
        made = dict(declared)
        root = f"/operations/{change.ordinal}"
        for name in personal.keys() & made.keys():
            if made[name] is not None:
                # The row after holds the same value: one copy is enough, and one erasure.
                made[name] = sealer.seal(
                    made[name], below(f"{root}/declared", name), salt_of=below(f"{root}/after", name), keep=False
                )
        return canonical(made).decode()

    def image(self, sealer: Sealer, change: Change, part: str, text: str | None) -> str | None:
        """Return the column `before` or `after` of an operation, given the database's own text of the row."""
        personal = self.personal(change.mapped)
        if text is None or not personal:
            return text
        row = json.loads(text)
        whose = self._whose(change, row, sealer)
        for name in personal.keys() & row.keys():
            if row[name] is not None:
                row[name] = sealer.seal(row[name], below(f"/operations/{change.ordinal}/{part}", name), whose)
        return canonical(row).decode()

    def _whose(self, change: Change, row: Mapping[str, Any], sealer: Sealer) -> str:
        template = self._subjects.get(change.mapped)
        if template is None:
            return sealer.subject
        names = {name: row.get(column.name) for name, column in change.mapped.__mapper__.columns.items()}
        return template.format_map(names)
