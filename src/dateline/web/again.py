"""The routes that decide recorded events again, compare, and correct."""

from __future__ import annotations

from dateline.core.diff import Diff
from dateline.errors import Malformed, StaleDiff
from dateline.web.asked import Correcting, Otherwise, id_of, read, reason_of
from dateline.web.call import Answer, Call, Shows
from dateline.web.view import stepped

__all__ = ["correct", "diff", "replay"]


async def replay(call: Call) -> Answer:
    """Decide an event again, of what it saw; nothing is written."""
    asked = await read(call, Otherwise)
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
    asked = await read(call, Correcting)
    found = await _differing(call, asked)
    if asked.number is not None and found.baseline is not None and asked.number != found.baseline + 1:
        raise StaleDiff(f"that would be correction {found.baseline + 1} of the event, not {asked.number}; look again")
    done = await call.runner.correct(
        found,
        preview=asked.preview,
        items=asked.items,
        admit=asked.admit,
        revoke=asked.revoke,
        closed=asked.closed,
        **call.given(reason_of(asked.reason)),
    )
    return Answer(done.document(), Shows("correction", found.about, id_of(call)))


async def _differing(call: Call, asked: Otherwise) -> Diff:
    if asked.base is not None and asked.version is None:
        raise Malformed("base is compared with version; send both", (("version", "is missing"),))
    versions = [one for one in (asked.base, asked.version) if one is not None]
    return await call.runner.diff(id_of(call), *versions, input=asked.input, tenant=call.caller.tenant)
