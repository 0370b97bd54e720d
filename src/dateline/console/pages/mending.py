"""What was entered in error, the wrong patient or the wrong dose, is entered as it should have been."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from dateline.console.act import Filled
from dateline.console.blank import Blank, blanks, faulty, typed
from dateline.console.pages.correction import chosen, performed
from dateline.console.pages.lineage import found
from dateline.core.canon import parsed
from dateline.core.catalogue import explained
from dateline.core.effective import CorrectEvent, corrected
from dateline.core.entry import Entry
from dateline.core.model import personal_within
from dateline.errors import Malformed, NoSuchEvent, Unanswerable
from dateline.web.asked import Correcting, id_of
from dateline.web.call import Answer, Call, Shows

__all__ = ["entered", "sheet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """What was entered, and what should have been.

    Args:
        stood: What stands of each field, as it would be typed.
        hidden: Fields whose value is not shown to whoever asks; left empty, they stay as they are.
        typed: What was typed over it.
        problems: What is wrong, by field.
    """

    entry: Entry
    blanks: tuple[Blank, ...]
    stood: Mapping[str, str]
    hidden: frozenset[str]
    typed: Mapping[str, str]
    late: bool = False
    problems: Mapping[str, list[str]]

    def changed(self) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Return the fields that were typed otherwise than they stand, and what is wrong with any."""
        made: dict[str, Any] = {}
        problems = []
        for one in self.blanks:
            told = self.typed.get(one.name, self.stood[one.name])
            if told == self.stood[one.name]:
                continue
            text = one.text(told)
            if text is None and not one.required:
                # Left out, it is what it is by default: which of a text may be an empty one.
                text = one.text(one.default or "") or ("null" if one.nullable else '""')
            if text is None:
                problems.append((one.name, "is needed"))
                continue
            try:
                made[one.name] = parsed(text)
            except ValueError:
                problems.append((one.name, 'is JSON: ["a", "b"] or {"name": 1}'))
        return made, problems

    def document(self, **more: Any) -> dict[str, Any]:
        """Return what its page is made of."""
        return {
            "event": self.entry.id,
            "seq": self.entry.seq,
            "kind": self.entry.kind,
            "input": [
                {
                    # As it stands, nothing has to be typed: what is hidden is there all the same.
                    **asdict(one),
                    "required": one.required and one.name not in self.hidden,
                    "typed": self.typed.get(one.name, self.stood[one.name]),
                    "hidden": one.name in self.hidden,
                    "problems": self.problems.get(one.name, []),
                }
                for one in self.blanks
            ],
            "wrong": self.problems.get("", []),
            "late": self.late,
            "problems": {},
            "refusal": None,
            "correction": None,
            **more,
        }


async def sheet(call: Call) -> Answer:
    """Show what was entered, to be typed over; nothing is written."""
    made = await _sheet(call, {})
    return Answer(made.document(), Shows("event", made.entry.concerned, made.entry.id))


async def entered(call: Call, form: Filled) -> Answer:
    """Show what would be corrected, had it been entered so; or perform what was chosen of that."""
    made = await _sheet(call, form.typed, late=form.late)
    if made.late:
        return _wrong(made, status=403)
    changes, problems = made.changed()
    if not changes and not problems:
        problems.append(("", "nothing was typed otherwise than it stands"))
    if problems:
        return _wrong(replace(made, problems=faulty(problems, made.blanks)))
    asked = Correcting(input=changes, preview=True)
    try:
        if form["do"] == "correct":
            return await performed(call, form, asked, partial(_corrected, call, made))
        return await _corrected(call, made, asked)
    except Malformed as error:
        return _wrong(replace(made, problems=faulty(error.problems or (("", str(error)),), made.blanks)))


def _wrong(made: _Sheet, status: int = 400) -> Answer:
    return Answer(made.document(), Shows("event", made.entry.concerned, made.entry.id), status=status)


async def _corrected(
    call: Call,
    made: _Sheet,
    asked: Correcting,
    *,
    status: int = 200,
    problems: Mapping[str, str] | None = None,
    refusal: Mapping[str, Any] | None = None,
) -> Answer:
    told, about = await chosen(call, asked)
    document = made.document(correction=told, problems=problems or {}, refusal=refusal)
    concerned = tuple(dict.fromkeys((*made.entry.concerned, *about)))
    return Answer(document, Shows("correction", concerned, made.entry.id), status=status)


async def _sheet(call: Call, typed_: Mapping[str, str], *, late: bool = False) -> _Sheet:
    """Return what stands of an event's input, and what was typed.

    Raises:
        NoSuchEvent: Where there is no such event of the caller's tenant.
        Unanswerable: Where no version at hand reads it.
    """
    id = id_of(call)
    entry = await found(call, id)
    if entry is None:
        raise NoSuchEvent(f"there is no event {id}")
    if entry.event is None or entry.shape is None:
        raise Unanswerable(f"event {entry.seq}: no version at hand reads {entry.kind} in the shape of {entry.shape}")
    about = explained(call.runner.versions, entry.kind, entry.shape)
    page = await call.runner.trail(
        tenant=entry.tenant, cause=entry.id, kind=CorrectEvent.__kind__, outcome="committed", limit=1, newest_first=True
    )
    stands = {**entry.input, **((corrected(page.entries[0]).changed or {}) if page.entries else {})}
    hidden = frozenset() if call.caller.unmasked else frozenset(personal_within(type(entry.event))) & stands.keys()
    fields = [
        typed(one, None if one.name in hidden else stands.get(one.name))
        for one in blanks(type(entry.event), about.input)
    ]
    return _Sheet(
        entry=entry,
        blanks=tuple(one for one, _ in fields),
        stood={one.name: text for one, text in fields},
        hidden=hidden,
        typed=typed_,
        late=late,
        problems={},
    )
