"""Run by a test: dispatches events in processes that are killed after the n-th statement of the commit, for every n.

Prints one JSON object a line: after which statement, how the process ended, what it left, and whether the retry went well.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from dateline.run.settings import Settings
from tests.proofs.bank import Bank, Pay
from tests.proofs.evidence import checksums, count
from tests.proofs.sabotage import Sabotage, through


def attacks(url: str) -> Iterator[dict[str, Any]]:
    """Kill one process after the other, until one gets through its commit alive."""
    bank = Bank.at(url)
    for after in range(100):
        before, events = checksums(bank.engine), count(bank.engine, "dateline_event")
        bank.close()
        ended = _in_a_process(url, after)
        left = "nothing" if checksums(bank.engine) == before else "something"
        with through(url, Settings()) as runner:
            retry = runner.dispatch(Pay(account="a0", cents=1, note="secret"), actor="crowd", key=f"key-{after}")
            sound = runner.verify().ok
        made = count(bank.engine, "dateline_event") - events
        yield {"after": after, "ended": ended, "left": left, "repeated": retry.repeated, "made": made, "sound": sound}
        if ended == 0:
            return


def _in_a_process(url: str, after: int) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with through(url, Settings()) as runner:
        runner.made = lambda engine: Sabotage(engine, after, lambda _: os.kill(os.getpid(), signal.SIGKILL))
        runner.dispatch(Pay(account="a0", cents=1, note="secret"), actor="crowd", key=f"key-{after}")
    os._exit(0)


if __name__ == "__main__":
    for found in attacks(sys.argv[1]):
        sys.stdout.write(json.dumps(found) + "\n")
