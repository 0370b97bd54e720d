"""What a page gives with a form: whoever sends it back was shown that form, as that person, and not long ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dateline.core.canon import canonical, digest, parsed
from dateline.core.signed import opened, signed
from dateline.errors import Malformed

__all__ = ["Permit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to do one thing once, which a page of another site cannot come by.

    Args:
        of: What may be done, and of what: `("approve", "1234.0")`.
        actor: The id of whom it was given to; `tenant` whose data they see.
        ends: Until when.
        key: The request's key: however often the form is sent, it happens once.

    Source: OWASP, Cross-Site Request Forgery Prevention (signed tokens, bound to who is shown the form).
    """

    of: tuple[str, ...]
    actor: str
    tenant: str
    ends: datetime
    key: str

    def text(self, key: bytes) -> str:
        """Return it as a text for a form; what it is for, and whose, does not stand there, and yet it is good for nothing else."""
        return signed(canonical([self.ends, self.key]), key, of=_purpose(self.of, self.actor, self.tenant))

    @classmethod
    def read(cls, text: str, key: bytes, of: Sequence[str], *, actor: str, tenant: str) -> Permit:
        """Return what a text permits.

        Raises:
            Malformed: For what was given for something else, or to somebody else, or by no server with this key.
        """
        held = opened(text, key, of=_purpose(of, actor, tenant))
        if held is None:
            raise Malformed("that form is not of this server's, or was given to somebody else, or for something else")
        ends, once = parsed(held)
        return cls(of=tuple(of), actor=actor, tenant=tenant, ends=datetime.fromisoformat(ends), key=once)


def _purpose(of: Sequence[str], actor: str, tenant: str) -> bytes:
    # A digest, so that where it ends is known, whatever stands in it.
    return b"form\0" + digest(canonical([tenant, actor, *of])).encode()
