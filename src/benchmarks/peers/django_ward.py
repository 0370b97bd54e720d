"""Django with django-pghistory, whose triggers write each row's history, with the actor as its context.

Input, snapshot and side effects are not its matter: they are models beside it, written in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import django
import pghistory
import pgtrigger
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction
from sqlalchemy.engine import make_url

from benchmarks.contestant import Doer, Threaded
from benchmarks.peers import audit
from benchmarks.work import Unit, Work

__all__ = ["DjangoWard"]

_PATIENT = ("id", "name", "ward", "weight_g", "prescribed", "last_drug", "last_dose_mg")
_TAKEN = ("id", "drug", "dose_mg", "directions")


class DjangoWard(Threaded):
    """Django without its web: settings, models, and a connection for each thread."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        parts = make_url(url)
        settings.configure(
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.postgresql",
                    "NAME": parts.database,
                    "HOST": parts.host,
                    "PORT": parts.port,
                    "USER": parts.username,
                    "PASSWORD": parts.password,
                }
            },
            INSTALLED_APPS=["pgtrigger", "pghistory", "benchmarks.peers.ward"],
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            PGTRIGGER_MIGRATIONS=False,
            USE_TZ=True,
        )
        django.setup()

    def prepare(self, work: Work) -> None:
        """Make the ward's tables, those of its history, and those beside them; then the triggers."""
        super().prepare(work)
        call_command("migrate", run_syncdb=True, verbosity=0)
        pgtrigger.install()
        connections.close_all()

    @contextmanager
    def client(self) -> Iterator[Doer]:
        """The thread's own connection."""
        yield _do
        connections.close_all()


def _do(unit: Unit) -> None:
    # Models can be imported only once the settings are made.
    from benchmarks.peers.ward.models import Asked, Outbox, Patient, Prescription  # noqa: PLC0415

    with transaction.atomic(), pghistory.context(actor=audit.ACTOR, kind=audit.KIND):
        patient = Patient.objects.get(pk=unit.patient)
        found = Prescription.objects.filter(patient=unit.patient, active=True).order_by("-id")[:5]
        seen = {name: getattr(patient, name) for name in _PATIENT}
        taken = [{name: getattr(one, name) for name in _TAKEN} for one in found]
        Prescription.objects.create(
            id=unit.prescription,
            patient=unit.patient,
            drug=unit.drug,
            dose_mg=unit.dose_mg,
            directions=unit.directions,
            active=True,
        )
        patient.prescribed += 1
        patient.last_drug, patient.last_dose_mg = unit.drug, unit.dose_mg
        patient.save(update_fields=["prescribed", "last_drug", "last_dose_mg"])
        asked = Asked.objects.create(
            kind=audit.KIND, input=audit.input_of(unit), snapshot=audit.snapshot_of(seen, taken)
        )
        Outbox.objects.bulk_create(
            Outbox(asked=asked, kind=row.kind, payload=row.payload) for row in audit.effects_of(unit, seen, taken)
        )
