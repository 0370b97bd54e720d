"""A row is made again of its image, in a table beside the real one, and has the same image there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert

from dateline import Settings
from dateline.run.connection import Connection
from dateline.run.engine import dialect_of, engine
from dateline.sql.restore import Restorer, Target, tables_of
from dateline.sql.statement import Batch
from tests.contract.conftest import Mall, Shop, Sync
from tests.contract.everything import KINDS, Everything
from tests.contract.shop import VERSIONS, Base, Product, Receipt

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.*Decimal:sqlalchemy.exc.SAWarning")


@pytest.fixture
def own(mall: Mall, place: str) -> Iterator[Shop]:
    made, close = mall.fresh(place, Sync)
    yield made
    close()


def images(shop: Shop, target: Target, keys: list[str], beside: bool) -> list[dict[str, Any] | None]:
    """Return the images of rows; with beside, of what is made of those in a table that shadows the real one, and then the table's loss."""
    made = engine(shop.url, Settings(), pooled=False)
    dialect, connection = dialect_of(made), Connection(made)
    restorer = Restorer(dialect, beside=True)
    image = dialect.image(target.table)

    def found() -> list[dict[str, Any] | None]:
        asked = tuple(image.statement("image", {"k0": key}) for key in keys)
        texts = [dialect.image_text(target.table, result) for result in connection.execute(Batch(asked))]
        return [None if text is None else json.loads(text) for text in texts]

    rows = found()
    if beside:
        connection.execute(Batch(tuple(restorer.making(target, ()))))
        assert found() == [None] * len(keys)
        for _ in range(2):
            connection.execute(Batch(tuple(restorer.put(target, row) for row in rows if row is not None)))
        rows = found()
        connection.execute(Batch(tuple(restorer.take(target, row) for row in rows if row is not None)))
        assert found() == [None] * len(keys)
    connection.close()
    made.dispose()
    return rows


def test_every_type_of_column_comes_back_as_it_was(own: Shop) -> None:
    names = [name for name, kind in KINDS.items() if kind.only is None or own.postgres]
    values = [{name: getattr(KINDS[name], which) for name in names} for which in ("one", "other")]
    with own.engine.begin() as connection:
        connection.execute(insert(Everything.__table__), [{"id": str(n), **row} for n, row in enumerate(values)])
        connection.execute(insert(Everything.__table__), [{"id": "2"}])
    target = Target(Everything, Everything.__table__)
    keys = ["0", "1", "2"]

    assert images(own, target, keys, beside=True) == images(own, target, keys, beside=False)
    assert len(own.rows("everything")) == 3


def test_what_the_database_added_comes_back_too(own: Shop) -> None:
    own.execute("INSERT INTO receipt (id, amount, code) VALUES ('r', 1.5, 'X')")
    target = tables_of(VERSIONS)["receipt"]

    assert target == Target(Receipt, Base.metadata.tables["receipt"])
    assert images(own, target, ["r"], beside=True) == images(own, target, ["r"], beside=False)


def test_the_tables_of_the_versions_are_known_by_the_names_that_the_trail_uses() -> None:
    found = tables_of(VERSIONS)

    assert found["product"] == Target(Product, Base.metadata.tables["product"])
    assert {"product", "purchase", "customer", "shelf", "receipt", "visit"} <= found.keys()


def test_an_instant_beyond_python_comes_back(own: Shop) -> None:
    if not own.postgres:
        pytest.skip("SQLite keeps a text")
    own.execute("INSERT INTO everything (id, zoned_column) VALUES ('x', 'infinity')")
    target = Target(Everything, Everything.__table__)

    [row] = images(own, target, ["x"], beside=True)

    assert row is not None
    assert row["zoned_column"] == "infinity"
