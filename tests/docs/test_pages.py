"""What the docs show is what happens: each page is played from its first block to its last, in an empty folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.page import ROOT, blocks, files, pages, play

PLAYED = [
    page for page in pages() if any(block.language in ("python", "console") for block in blocks(page.read_text()))
]
ON_POSTGRESQL = ("postgresql", "deploying")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PLAYED, ids=_name)
def test_a_page_does_what_it_shows(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    environment.pop("DATELINE_DATABASE", None)
    if any(block.language == "ruby" for block in blocks(page.read_text())) and shutil.which("ruby") is None:
        pytest.skip("it shows Ruby, which this machine lacks")
    if page.stem in ON_POSTGRESQL:
        environment["DATELINE_DATABASE"] = request.getfixturevalue("postgresql_url")

    played = subprocess.run(
        [sys.executable, "-m", "tests.docs.page", str(page)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert played.returncode == 0, played.stderr


@pytest.mark.parametrize("page", pages(), ids=_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)

    for link in LINK.findall(text):
        target, _, anchor = link.partition("#")
        assert "://" not in target, f"{link} leads out of the project"
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), link
        assert not anchor or anchor in _anchors(found), link


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as web pages make them: lower case, spaces as hyphens, no other signs."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_index() -> None:
    reached: set[Path] = set()
    ahead = [ROOT / "docs" / "index.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached:
            reached.add(page)
            links = (link.partition("#")[0] for link in LINK.findall(page.read_text()))
            ahead += [(page.parent / link).resolve() for link in links if link.endswith(".md")]

    assert {_name(page) for page in reached} >= {_name(page) for page in pages()} - {"README.md"}


def test_a_page_that_shows_something_else_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    page = tmp_path / "page.md"
    page.write_text(
        "```python\n# one.py\nONE = 1\n```\n\n```python\nfrom one import ONE\nprint(ONE)\n```\n\n```text\n2\n```\n"
    )

    with pytest.raises(AssertionError, match=r"page\.md:12 shows\n\n2\n\nand this is printed:\n\n1\n"):
        play(page)


def test_a_block_can_hold_several_files() -> None:
    [block] = blocks("```python\n# a.py: one\nA = 1\n\n# not a file\n# b/c.py\nC = 2\n```\n")

    assert files(block) == [("a.py", "# a.py: one\nA = 1\n\n# not a file\n"), ("b/c.py", "# b/c.py\nC = 2\n")]
