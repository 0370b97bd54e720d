"""A text that is held elsewhere and comes back: only who has the key can have made it."""

from __future__ import annotations

import base64
import hashlib
import hmac

__all__ = ["encoded", "opened", "signed"]

_LONG = 32
"""Bytes of a signature."""


def signed(held: bytes, key: bytes, *, of: bytes) -> str:
    """Return a text for a URL, a form or JSON: what is held, and its signature.

    Args:
        of: What the text is for; no text for one thing is taken for another.

    Source: RFC 2104 (HMAC), RFC 4648 (base64url).
    """
    return encoded(_signature(held, key, of) + held)


def opened(text: str, key: bytes, *, of: bytes) -> bytes | None:
    """Return what such a text holds; None for one that nobody with the key has made, or that is for something else."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    if encoded(raw) != text:
        # The last letter has bits that say nothing; one text is one promise.
        return None
    signature, held = raw[:_LONG], raw[_LONG:]
    # Before anything is unpacked: what is not ours could be of any size.
    return held if held and hmac.compare_digest(signature, _signature(held, key, of)) else None


def encoded(raw: bytes) -> str:
    """Return bytes as a text without what a URL would have to quote."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _signature(held: bytes, key: bytes, of: bytes) -> bytes:
    return hmac.digest(key, of + b"\0" + held, hashlib.sha256)
