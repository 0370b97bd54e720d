"""Whatever application there is, and whatever is sent to it in whatever order, the database holds what a model in memory holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from dateline import Committed, Preview, Rejected, Runner, StaleSnapshot, Versions
from dateline.errors import KeyReused
from dateline.run.settings import Settings
from tests.proofs.anything import ACTIONS, CHECKS, DATES, Asked, Kind, Model, application
from tests.proofs.bank import Bank, Cell
from tests.proofs.evidence import asked as found_by
from tests.proofs.evidence import checksums, live, operations, rebuilt, tables
from tests.proofs.racing import on_every_path, on_newest

CELLS = st.sampled_from(("x", "y", "z"))
ON = st.sampled_from(("a", "b"))


def several(names: tuple[str, ...], most: int) -> st.SearchStrategy[Any]:
    """Return what gives, for each of the two dates, some of these, each on one of the event's cells."""
    one = st.lists(st.tuples(st.sampled_from(names), ON), max_size=most).map(tuple)
    return st.tuples(one, one)


KINDS = st.lists(st.builds(Kind, checks=several(CHECKS, 1), actions=several(ACTIONS, 3)), min_size=3, max_size=3)
ASKED = st.builds(
    Asked, kind=st.integers(0, 2), a=CELLS, b=CELLS, text=st.sampled_from(("one", "two", "é\\")), date=st.integers(0, 1)
)
KEYS = st.sampled_from(("k", "l"))


class Machine(RuleBasedStateMachine):
    """One application's life, in a database and in the model."""

    bank: Bank
    path: Callable[[Runner], None]
    steps: list[int]
    made: type[Model]

    @initialize(kinds=KINDS)
    def begin(self, kinds: list[Kind]) -> None:
        """Empty the database, and open it under an application that was never seen before."""
        with self.bank.engine.begin() as connection:
            for table in tables(self.bank.engine):
                if table not in ("alembic_version", "dateline_version", "dateline_incarnation"):
                    connection.execute(text(f'DELETE FROM "{table}"'))
        self.versions: Versions = application(tuple(kinds))
        self.runner = Runner(self.bank.url, versions=self.versions, settings=Settings(pool=2))
        self.path(self.runner)
        self.model = self.made(tuple(kinds))
        self.outcomes: list[str] = []
        self.keys: dict[str, tuple[Asked, object]] = {}
        self.previews: list[tuple[Asked, Preview, object]] = []
        self.committed: dict[int, Committed] = {}

    def _sent(self, asked: Asked, **given: Any) -> object:
        """Send an event to both; return the answer."""
        event, codes = asked.event(self.versions), self.model.refusals(asked)
        if codes:
            with pytest.raises(Rejected) as refused:
                self.runner.dispatch(event, actor="x", version=DATES[asked.date], **given)
            assert [one.code for one in refused.value.rejections] == codes
            self.outcomes.append("rejected")
            return refused.value.event_id
        done = self.runner.dispatch(event, actor="x", version=DATES[asked.date], **given)
        self.model.perform(asked)
        self.outcomes.append("committed")
        return done

    @rule(asked=ASKED)
    def dispatch(self, asked: Asked) -> None:
        """An event happens, or is refused."""
        self._sent(asked)

    @rule(asked=ASKED, key=KEYS)
    def dispatch_under_a_key(self, asked: Asked, key: str) -> None:
        """An event happens once for its key; the key with another event is refused."""
        if key not in self.keys:
            self.keys[key] = asked, self._sent(asked, key=key)
            return
        first, answer = self.keys[key]
        event = asked.event(self.versions)
        given: dict[str, Any] = {"actor": "x", "version": DATES[asked.date], "key": key}
        if event != first.event(self.versions):
            with pytest.raises(KeyReused):
                self.runner.dispatch(event, **given)
            self.outcomes.append("key-reused")
        elif isinstance(answer, Committed):
            assert self.runner.dispatch(event, **given) == answer
        else:
            with pytest.raises(Rejected) as refused:
                self.runner.dispatch(event, **given)
            assert refused.value.event_id == answer

    @rule(asked=ASKED, rehearse=st.booleans())
    def preview(self, asked: Asked, rehearse: bool) -> None:
        """A preview says what would happen, and changes nothing."""
        before = checksums(self.bank.engine)

        seen = self.runner.preview(asked.event(self.versions), actor="x", version=DATES[asked.date], rehearse=rehearse)

        assert checksums(self.bank.engine) == before
        if codes := self.model.refusals(asked):
            assert isinstance(seen, Rejected)
            assert [one.code for one in seen.rejections] == codes
        else:
            assert isinstance(seen, Preview)
            self.previews.append((asked, seen, self.model.seen(asked)))

    @rule(place=st.integers(0, 5))
    def commit_a_preview(self, place: int) -> None:
        """What was previewed happens once, as long as what it saw is so."""
        if not self.previews:
            return
        index = place % len(self.previews)
        asked, preview, seen = self.previews[index]
        event = asked.event(self.versions)
        if index in self.committed:
            assert self.runner.dispatch(event, actor="x", expects=preview) == self.committed[index]
        elif seen != self.model.seen(asked):
            with pytest.raises(StaleSnapshot):
                self.runner.dispatch(event, actor="x", expects=preview)
            self.outcomes.append("stale")
        else:
            done = self.runner.dispatch(event, actor="x", expects=preview)
            assert done.plan == preview.plan
            self.model.perform(asked)
            self.outcomes.append("committed")
            self.committed[index] = done

    @rule(many=st.lists(ASKED, min_size=1, max_size=3), regrets=st.booleans())
    def together(self, many: list[Asked], regrets: bool) -> None:
        """Several events happen, or none; what was refused among them stays on the record."""
        before, refused = self.model.copy(), 0
        accepted = []
        try:
            with self.runner.together() as tx:
                for asked in many:
                    codes = self.model.refusals(asked)
                    event = asked.event(self.versions)
                    if codes:
                        with pytest.raises(Rejected):
                            tx.dispatch(event, actor="x", version=DATES[asked.date])
                        refused += 1
                    else:
                        tx.dispatch(event, actor="x", version=DATES[asked.date])
                        self.model.perform(asked)
                        accepted.append("committed")
                if regrets:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            self.model, accepted = before, []
        self.outcomes += [*accepted, *["rejected"] * refused]

    @invariant()
    def the_database_holds_what_the_model_holds(self) -> None:
        """Tables, trail, effects and outcomes are the model's."""
        if not hasattr(self, "model"):
            return
        self.steps.append(1)
        cells = live(self.bank.engine, Cell)
        assert {row["name"]: (row["text"], row["writes"]) for row in cells.values()} == self.model.cells
        assert rebuilt(operations(self.bank.engine)) == (cells, 0)
        effects = found_by(self.bank.engine, "SELECT payload FROM dateline_effect ORDER BY seq, ordinal")
        assert [one.payload for one in effects] == [
            f'{{"text":"{t}","who":"{w}"}}'.replace("\\", "\\\\") for w, t in self.model.told
        ]
        outcomes = found_by(self.bank.engine, "SELECT outcome FROM dateline_event")
        assert sorted(one.outcome for one in outcomes) == sorted(self.outcomes)

    def teardown(self) -> None:
        """Look at every digest, and close."""
        if hasattr(self, "runner"):
            assert self.runner.verify().ok
            self.runner.close()


def lives(
    bank: Bank, path: Callable[[Runner], None], many: int, *, model: type[Model] = Model, shrink: bool = True
) -> int:
    """Have so many applications live; return how many steps they took."""
    steps: list[int] = []
    here = type("Here", (Machine,), {"bank": bank, "path": staticmethod(path), "steps": steps, "made": model})
    chosen = settings(
        max_examples=many,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
    )
    run_state_machine_as_test(here, settings=chosen)
    return len(steps)


@on_every_path
def test_any_application_under_any_events_holds_what_the_model_holds(
    bank: Bank, path: Callable[[Runner], None], times: Callable[[int], int], figure: Callable[[str], None]
) -> None:
    steps = lives(bank, path, times(10))

    figure(f"{times(10)} applications, {steps} steps")


class Forgetful(Model):
    """A model to which what moves stays where it was."""

    def perform(self, asked: Asked) -> None:
        """Do what an event does, and put back what it took."""
        before = dict(self.cells)
        super().perform(asked)
        self.cells = {**before, **self.cells}


@on_newest
def test_control_a_model_that_means_something_else_is_found_out(bank: Bank) -> None:
    with pytest.raises(AssertionError):
        lives(bank, lambda _: None, 50, model=Forgetful, shrink=False)
