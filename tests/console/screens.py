"""Pictures of every page, on a phone and on a desk, light and dark: `python -m tests.console.screens LOG FOLDER`.

LOG is the hospital's, imported into a clinic of its own first. The pictures are for people to look at: what overlaps, wraps badly or
wants explaining is mended in the page.
"""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser

from clinic.importer import Import
from tests.browser import browser
from tests.console.clinic import Clinic, clinic
from tests.console.test_tasks import paths, prescribed

__all__ = ["WIDTHS", "taken"]

WIDTHS = {"phone": 390, "desk": 1280}


# The first of each sort that can be opened, and pictures that would wait until somebody comes to them.
_OPENED = """
[document.querySelector('.narrow, .card details, main > details'), document.querySelector('.timeline details')]
    .forEach(one => { if (one) one.open = true });
document.querySelectorAll('img').forEach(one => { one.loading = 'eager' });
"""


def hospital(place: Clinic) -> dict[str, str]:
    """Return the paths of pages about whom the log tells most."""
    page = place.runner.trail(kind="treatment.give", limit=500)
    told = next(one for one in page if one.effects)
    [subject, *_] = told.subjects
    row = next(one for one in told.operations if one.verb == "update")
    return {
        "hospital-subject": f"/subjects/{subject}",
        "hospital-event": f"/events/{told.id}",
        "hospital-compare": f"/events/{told.id}/compare?version=2018-04-19",
        "hospital-row": f"/rows/{row.table}/{row.row_key}",
    }


def taken(opened: Browser, root: str, pages: dict[str, str], folder: Path, me: str = "auditor") -> None:
    """Take a picture of each page at each width, light and dark."""
    for name, width in WIDTHS.items():
        for scheme in ("light", "dark"):
            context = opened.new_context(
                viewport={"width": width, "height": 900},
                color_scheme=scheme,
                extra_http_headers={"authorization": f"Bearer {me}"},
            )
            page = context.new_page()
            for shown, path in pages.items():
                page.goto(f"{root}{path}")
                page.evaluate(_OPENED)
                page.wait_for_function("[...document.images].every(one => one.complete)")
                page.screenshot(path=folder / f"{shown}-{name}-{scheme}.png", full_page=True)
            context.close()


def main(log: str, folder: str) -> None:
    """Import, serve, and take pictures."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch, clinic(f"sqlite:///{scratch}/clinic.db") as place, browser() as opened:
        with io.BufferedReader(gzip.GzipFile(log)) as lines:
            Import(place.runner, misfit=print, kept=lambda _: None, moved=lambda _: None).run(lines)
        taken(opened, place.root, {**paths(prescribed(place)), **hospital(place)}, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
