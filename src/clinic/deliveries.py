"""What the clinic does when an effect is due: a pager and a mailbox that are not real, and can be made to fail."""

from __future__ import annotations

from dataclasses import dataclass, field

from clinic.effects import DoctorPage, NotifyPatient, SepsisReview, TellNurses, TooLate
from dateline import Delivery, Effect, delivers

__all__ = ["MAILBOX", "PAGER", "Desk", "Unreachable", "page", "write"]


class Unreachable(Exception):
    """Nobody answers at the other end."""


@dataclass
class Desk:
    """Takes messages.

    Args:
        failing: How many of the next it does not take.
        taken: Those that it took, as (kind, id, to whom).
    """

    failing: int = 0
    taken: list[tuple[str, str, str]] = field(default_factory=list)

    def take(self, effect: Effect, delivery: Delivery, to: str) -> str:
        """Take a message, and return the number under which it is found again."""
        if self.failing > 0:
            self.failing -= 1
            raise Unreachable
        self.taken.append((delivery.kind, str(delivery.id), to))
        return f"message {len(self.taken)}"


PAGER, MAILBOX = Desk(), Desk()


@delivers(DoctorPage, TellNurses, SepsisReview, resend=True)
def page(effect: DoctorPage | TellNurses | SepsisReview, delivery: Delivery) -> str:
    """Call whoever is on duty; the pager shows a call that comes twice once."""
    to = effect.channel if isinstance(effect, TellNurses) else effect.encounter
    return PAGER.take(effect, delivery, to)


@delivers(NotifyPatient, TooLate)
def write(effect: NotifyPatient | TooLate, delivery: Delivery) -> str:
    """Send a text message to a patient's telephone."""
    return MAILBOX.take(effect, delivery, effect.patient)
