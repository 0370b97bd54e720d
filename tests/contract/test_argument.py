"""What a call is told by name: an argument that is misspelt, forgotten or of another type is refused, and nothing happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dateline import Actor, Event, Malformed, Origin, Reason
from tests.contract.conftest import Shop
from tests.contract.shop import Idea


class Kindless(Event):
    pass


IDEA = Idea(text="x")


def calls(shop: Shop) -> dict[str, Callable[..., Any]]:
    """Return each way to dispatch or preview, as somebody calls it who has no type checker."""
    runner = shop.colour.runner

    def inside(name: str) -> Callable[..., Any]:
        def call(*args: Any, **given: Any) -> Any:
            with shop.together() as tx:
                return getattr(tx, name)(*args, **given)

        return call

    def outside(name: str) -> Callable[..., Any]:
        return lambda *args, **given: shop.colour.wait(getattr(runner, name)(*args, **given))

    return {f"{name} {made.__name__}": made(name) for name in ("dispatch", "preview") for made in (inside, outside)}


@pytest.mark.parametrize(
    ("event", "given", "told"),
    [
        (IDEA, {}, r'{}\(\) needs actor=, who acts: {}\(Idea\(…\), actor="ann"\)'),
        (IDEA, {"actr": "ann"}, r"{}\(\) takes no actr=; did you mean actor=\?"),
        (IDEA, {"actor": "ann", "reasons": "x"}, r"{}\(\) takes no reasons=; did you mean reason=\?"),
        (
            IDEA,
            {"actor": "ann", "user": "x"},
            r"{}\(\) takes no user=; it takes actor, reason, cause, tenant, key, at,",
        ),
        (IDEA, {"actor": "ann", "joined": True}, r"{}\(\) takes no joined="),
        (Idea, {"actor": "ann"}, r"{}\(\) takes an event of some kind, such as Pay\(.*\), not Idea"),
        ({"text": "x"}, {"actor": "ann"}, r"not dict; of a body from outside, runner\.event\(kind, body\) makes one"),
        (Kindless(), {"actor": "ann"}, r"{}\(\) takes an event of some kind, such as Pay\(.*\), not Kindless"),
    ],
    ids=["nobody", "actr", "reasons", "user", "joined", "class", "body", "kindless"],
)
def test_what_is_forgotten_or_misspelt_is_named(shop: Shop, event: Any, given: dict[str, Any], told: str) -> None:
    for name, call in calls(shop).items():
        with pytest.raises(TypeError, match=told.replace("{}", name.partition(" ")[0])):
            call(event, **given)

    assert len(shop.trail()) == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"actor": None}, 'actor= is an Actor, or its id: actor="ann"; not NoneType'),
        ({"actor": 7}, "actor= is an Actor.*; not int"),
        ({"actor": ""}, "an actor has an id, a text that is not empty"),
        ({"reason": 7}, "reason= is a Reason, or its sentence"),
        ({"cause": "0190"}, "cause= is an event's id, a UUID"),
        ({"tenant": None}, "tenant= is a text; without tenants, leave it out; not NoneType"),
        ({"key": 17}, "key= is a text of the client's; not int"),
        ({"at": "2024-07-01"}, "at= is an instant with a time zone"),
        ({"origin": "127.0.0.1"}, r'origin= is an Origin: origin=Origin\(request="r-17"\); not str'),
        ({"expects": "yes"}, "expects is a preview, or fingerprints"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_of_another_type_is_told_with_an_example(shop: Shop, given: dict[str, Any], told: str) -> None:
    for call in calls(shop).values():
        with pytest.raises(Malformed, match=told):
            call(IDEA, **{"actor": "ann", **given})

    assert len(shop.trail()) == 0


def test_what_may_be_left_out_may_be_none(shop: Shop) -> None:
    for call in calls(shop).values():
        nothing = dict.fromkeys(("reason", "cause", "key", "at", "version", "expects", "origin"))
        call(IDEA, actor=Actor("ann"), **nothing)
        call(IDEA, actor="ann", reason=Reason("asked"), origin=Origin(request="r-17"))

    assert shop.outcomes() == ["committed"] * 4


def test_the_rights_of_an_actor_are_no_text_of_which_every_part_would_count() -> None:
    rights: Any = "backdate"

    with pytest.raises(Malformed, match=r'a set of texts: rights=frozenset\(\{"backdate"\}\)'):
        Actor("ann", rights=rights)
