"""A second look."""

from __future__ import annotations

from benchmarks.effects import Review
from benchmarks.versions.v2024_01_01.prescriptions import Chart, Prescribe
from dateline import Yields, handler


@handler
def it_is_looked_at_once_more(event: Prescribe, chart: Chart) -> Yields[Review]:
    """Beside what the patient takes already."""
    yield Review(prescription=event.prescription, beside=tuple(one.drug for one in chart.taken))
