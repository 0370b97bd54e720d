"""A page of the docs as a program: its fenced blocks, played in order in one namespace, in a folder of their own.

A `python` block whose first line is a comment with a file's name (`# shop/tables.py`) is written to that file, as are further files in
the same block; any other is executed, and a `text` block right after it is what it must print. A `ruby` block is files only (`# shop.rb`).
In a `console` block each line after `$ ` is executed by a shell, and the lines after it are what it must print; a line `...` stands for
any lines. Other blocks are only read.

A guide finds the shop of README.md in its folder, with its database made.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from dateline.run.reader import Reader

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^# ((?:\w+/)*\w+\.(?:py|rb))(?::.*)?$", re.MULTILINE)

# What differs from one run to the next, and what stands in its place when printed text is compared.
_VARYING = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?\b"), "<instant>"),
    (re.compile(r"\b[A-Z][a-z]+day, \d{1,2} [A-Z][a-z]+ \d{4}, UTC"), "<day>"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "<time>"),
    (re.compile(r"\b\d+\.\d\ds\b"), "<duration>"),
)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and the line of the page on which the text begins."""

    language: str
    text: str
    line: int


def pages() -> list[Path]:
    """Return every page, README.md first."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """Return a page's blocks in order."""
    return [Block(found[1], found[2], page.count("\n", 0, found.start(2)) + 1) for found in _FENCE.finditer(page)]


def files(block: Block) -> list[tuple[str, str]]:
    """Return the files that a block shows, by name; none where it is to be executed."""
    if block.language not in ("python", "ruby") or not _FILE.match(block.text):
        return []
    starts = list(_FILE.finditer(block.text))
    ends = [*(found.start() for found in starts[1:]), len(block.text)]
    return [
        (found[1], block.text[found.start() : end].rstrip() + "\n") for found, end in zip(starts, ends, strict=True)
    ]


def shop(folder: Path) -> None:
    """Write the files of README.md's sample into a folder, each folder of `shop` a package."""
    [sample] = [block for block in blocks((ROOT / "README.md").read_text()) if files(block)]
    for name, text in files(sample):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for package in (folder / "shop", *(folder / "shop").rglob("*/")):
        (package / "__init__.py").touch()


def play(path: Path) -> None:
    """Play a page in the current folder.

    Raises:
        AssertionError: Where something else is printed than the page shows.
    """
    found = blocks(path.read_text())
    sys.path.insert(0, str(Path.cwd()))
    if path.parent.name == "guides":
        shop(Path())
        runpy.run_path("make.py")["engine"].dispose()
        with Reader("sqlite:///shop.db") as reader:
            reader.migrate()
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    for block, after in zip(found, [*found[1:], None], strict=True):
        shown = files(block)
        assert shown or block.language != "ruby", f"{path.name}:{block.line}: a ruby block begins with its file's name"
        for name, text in shown:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
        if block.language == "python" and not shown:
            printed = io.StringIO()
            # As many empty lines before it as in the page, so that a traceback names the page's own line.
            code = compile("\n" * (block.line - 1) + block.text, str(path), "exec")
            with contextlib.redirect_stdout(printed):
                exec(code, module.__dict__)
            if after is not None and after.language == "text":
                _compare(f"{path.name}:{after.line}", after.text, printed.getvalue())
        if block.language == "console":
            for line, command, output in _commands(block):
                _compare(f"{path.name}:{line}", output, _printed(command))


def _commands(block: Block) -> Iterator[tuple[int, str, str]]:
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert parts[0] == "", "a console block begins with a command"
    line = block.line
    for part in parts[1:]:
        command, _, output = part.partition("\n")
        yield line, command, output
        line += part.count("\n")


def _printed(command: str) -> str:
    # The programs of this very environment, also where dateline is not installed but found by pytest.
    shell = f'python() {{ "{sys.executable}" "$@"; }}; dateline() {{ COLUMNS=100 python -m dateline.cli.main "$@"; }}\n{command}'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "80"}
    ran = subprocess.run(
        ["bash", "-c", shell],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
        env=environment,
    )
    return ran.stdout


def _compare(where: str, shown: str, printed: str) -> None:
    wanted, got = _settled(shown), _settled(printed)
    pattern = "".join(r"(?:.*\n)*" if line == "..." else f"{re.escape(line)}\n" for line in wanted.splitlines())
    assert re.fullmatch(pattern, got), f"{where} shows\n\n{shown}\nand this is printed:\n\n{printed}"


def _settled(text: str) -> str:
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())


if __name__ == "__main__":
    play(Path(sys.argv[1]))
