"""The ward's tables as Django models, tracked by django-pghistory; and what is written beside its history."""

from __future__ import annotations

import pghistory
from django.db import models

__all__ = ["Asked", "Outbox", "Patient", "Prescription"]


@pghistory.track(meta={"managed": True})
class Patient(models.Model):
    """Somebody on the ward."""

    id = models.CharField(primary_key=True, max_length=40)
    name = models.CharField(max_length=80)
    ward = models.CharField(max_length=20)
    weight_g = models.IntegerField()
    prescribed = models.IntegerField()
    last_drug = models.CharField(max_length=40, null=True)
    last_dose_mg = models.IntegerField(null=True)

    class Meta:
        """The table is the same for all contestants, so Django does not make it."""

        managed = False
        db_table = "patient"


@pghistory.track(meta={"managed": True})
class Prescription(models.Model):
    """A drug that a patient takes."""

    id = models.UUIDField(primary_key=True)
    patient = models.CharField(max_length=40)
    drug = models.CharField(max_length=40)
    dose_mg = models.IntegerField()
    directions = models.CharField(max_length=120)
    active = models.BooleanField()

    class Meta:
        """The table is the same for all contestants, so Django does not make it."""

        managed = False
        db_table = "prescription"


class Asked(models.Model):
    """Input, and what was seen."""

    kind = models.CharField(max_length=40)
    input = models.TextField()
    snapshot = models.TextField()


class Outbox(models.Model):
    """One side effect that is due."""

    asked = models.ForeignKey(Asked, on_delete=models.DO_NOTHING, db_constraint=False)
    kind = models.CharField(max_length=40)
    payload = models.TextField()
    state = models.CharField(max_length=12, default="due")
