"""One follower for all: between what is read of the past and what happens there is neither a gap nor an overlap."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from dateline import AsyncRunner
from dateline.sql.feed import Wanted
from dateline.web.hub import Hub
from tests.web.conftest import VERSIONS, Clean


def test_what_happens_while_the_past_is_read_comes_once(sqlite_url: str) -> None:
    async def go() -> list[str]:
        async with AsyncRunner(sqlite_url, versions=VERSIONS) as runner:
            await runner.migrate()
            await runner.dispatch(Clean(ward="before"), actor="desk")
            async with Hub(runner, "").joined(Wanted(), None) as (listener, heard):
                await runner.dispatch(Clean(ward="meanwhile"), actor="desk")
                while listener.waiting.empty():  # noqa: ASYNC110 - a queue that fills tells nobody
                    await asyncio.sleep(0.01)
                # It waits for the listener, and stands in the past that is read only now.
                found = []
                async with aclosing(heard):
                    async for said in heard:
                        assert said.notice.entry is not None
                        found.append(said.notice.entry.input["ward"])
                        if len(found) == 2:
                            await runner.dispatch(Clean(ward="after"), actor="desk")
                        if len(found) == 3:
                            break
                return found

    assert asyncio.run(asyncio.wait_for(go(), 20)) == ["before", "meanwhile", "after"]
