"""What can be prescribed."""

from __future__ import annotations

from clinic.tables import Code, Drug
from dateline import Event, Insert, Record, Snapshot, Update, Yields, given, handler, rows


class ListDrug(Event, kind="drug.list", subjects=("drug:{drug}",)):
    """The pharmacist puts a drug on the formulary, or corrects its line."""

    drug: Code
    ingredient: Code
    hepatotoxic: bool = False


class Listed(Record[Drug]):
    """That a drug is on the formulary."""

    id: str


class Formulary(Snapshot):
    """The drug's line, if there is one."""

    drug: Listed | None = rows(Drug.id == given("drug"))


@handler
def the_formulary_has_one_line_a_drug(event: ListDrug, formulary: Formulary) -> Yields[Insert[Drug] | Update[Drug]]:
    """Two lines for one drug could contradict each other."""
    if formulary.drug is None:
        yield Insert(Drug, id=event.drug, ingredient=event.ingredient, hepatotoxic=event.hepatotoxic)
    else:
        yield Update(formulary.drug, ingredient=event.ingredient, hepatotoxic=event.hepatotoxic)
