"""The routes that decide recorded events again, compare, and correct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dateline.core import effective
from dateline.core.correction import Correction
from dateline.core.diff import Diff
from dateline.core.model import personal_within
from dateline.errors import Denied, Malformed, StaleDiff
from dateline.run.path import Given
from dateline.web.asked import Correcting, Otherwise, Replaying, id_of, read, reason_of
from dateline.web.call import Answer, Call, Shows
from dateline.web.caller import UNMASK
from dateline.web.problem import Explained
from dateline.web.view import stepped

__all__ = ["correct", "correcting", "diff", "replay"]


async def replay(call: Call) -> Answer:
    """Decide an event again, of what it saw; nothing is written."""
    asked = await read(call, Replaying)
    id = id_of(call)
    made = await call.runner.replay(id, asked.version, tenant=call.caller.tenant)
    told = {
        "event": id,
        "version": made.version,
        "outcome": made.outcome,
        "reconstructed": list(made.reconstructed),
        "steps": [stepped(one, unmask=call.caller.unmasked) for one in made.steps],
    }
    return Answer(told, Shows("replay", event=id))


async def diff(call: Call) -> Answer:
    """Tell how two ways to decide an event differ; nothing is written."""
    found = await _differing(call, await read(call, Otherwise))
    told = found.document(call.runner.versions, unmask=call.caller.unmasked)
    return Answer(told, Shows("diff", found.about, id_of(call)))


async def correct(call: Call) -> Answer:
    """Perform a difference and nothing else, or tell what that would do; twice is once."""
    found, done = await correcting(call, await read(call, Correcting))
    return Answer(done.document(), Shows("correction", found.about, id_of(call)))


async def correcting(call: Call, asked: Correcting, *, key: str | None = None) -> tuple[Diff, Correction]:
    """Return a difference, and what performing it does, or would do.

    Args:
        key: The request's.

    Raises:
        StaleDiff: Where it is another correction of the event than was asked for.
    """
    found = await _differing(call, asked)
    if asked.number is not None and found.baseline is not None and asked.number != found.baseline + 1:
        raise StaleDiff(f"that would be correction {found.baseline + 1} of the event, not {asked.number}; look again")
    given: Given = {**call.given(reason_of(asked.reason)), "key": key}
    done = await call.runner.correct(
        found,
        preview=asked.preview,
        items=asked.items,
        admit=asked.admit,
        revoke=asked.revoke,
        closed=asked.closed,
        **given,
    )
    return found, done


async def _differing(call: Call, asked: Otherwise) -> Diff:
    if asked.base is not None and asked.version is None:
        raise Malformed("base is compared with version; send both", (("version", "is missing"),))
    versions = [one for one in (asked.base, asked.version) if one is not None]
    found = await call.runner.diff(id_of(call), *versions, input=asked.input, tenant=call.caller.tenant)
    performing = isinstance(asked, Correcting) and not asked.preview and effective.RIGHT in call.caller.actor.rights
    if asked.input and not call.caller.unmasked and not performing:
        _unguessed(call, found, asked.input)
    return found


def _unguessed(call: Call, found: Diff, input: Mapping[str, Any]) -> None:
    """Refuse to compare personal values that the caller may not see: no difference tells that a guess is right.

    Whoever may correct the event may do so: that is on record, and changes it where the guess is wrong.

    Raises:
        Explained: With the refusal; the try is an access.
    """
    shapes = {one.event for one in call.runner.versions.cascades() if one.kind == found.kind}
    hidden = {name for shape in shapes for name in personal_within(shape)}
    if not hidden.isdisjoint(input):
        denied = Denied(
            f"{call.caller.actor.id} lacks the right {UNMASK!r}, by which that input is compared", right=UNMASK
        )
        raise Explained(denied, shows=Shows("diff", found.about, id_of(call), denied=True))
