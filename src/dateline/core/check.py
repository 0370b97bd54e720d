"""What can be told to be wrong with versions before anything is decided, as findings: rule, place, reason, mend."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

from dateline.core.catalogue import codes
from dateline.core.impure import helpers, impurities, names, yields
from dateline.core.law import breaches
from dateline.core.layer import Function
from dateline.core.source import tree
from dateline.core.table import Table, table_of
from dateline.core.version import Versions
from dateline.errors import Unloadable

__all__ = ["Finding", "checked", "refused"]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong, or may be.

    Args:
        name: The function, or the class, that it is in.
        rule: A stable word for machines.
        severity: "error" or "warning".
    """

    file: str
    line: int
    name: str
    rule: str
    severity: str
    reason: str
    mend: str

    def document(self) -> dict[str, Any]:
        """Return it as JSON's types, with keys that stay."""
        return asdict(self)


def checked(versions: Versions) -> tuple[Finding, ...]:
    """Return what is wrong with versions that can be loaded, by file and line."""
    found: set[Finding] = set()
    calls: list[Callable[..., Any]] = [one.call for one in versions.functions]
    calls += [one.call for one in versions.conversions]
    for table in _tables(versions):
        # A synonym's are not the application's code.
        calls += [one.call for one in table.lowers.values() if hasattr(one.call, "__code__")]
        calls += [one.call for one in table.lifts.values() if hasattr(one.call, "__code__")]
    for deciding in calls:
        for call in helpers(deciding):
            code: Any = getattr(call, "__code__", None)
            for one in impurities(call):
                found.add(Finding(code.co_filename, one.line, call.__name__, one.rule, "error", one.reason, one.mend))
    for function in versions.functions:
        for one in yields(function):
            file = function.call.__code__.co_filename
            found.add(Finding(file, one.line, function.name, one.rule, "error", one.reason, one.mend))
    found.update(_unused(versions))
    found.update(_imports(versions))
    found.update(_amendments(versions))
    found.update(_conversions(versions))
    return tuple(sorted(found))


def _tables(versions: Versions) -> list[Table]:
    """Return the tables that records of the versions are of."""
    return [table_of(mapped) for mapped in dict.fromkeys(record.__table__ for record in versions.records)]


def _conversions(versions: Versions) -> Iterator[Finding]:
    """Yield where conversions there and back lose what they do not say that they lose (rule 16)."""
    for shapes in versions.shapes:
        for one in breaches(shapes):
            code = one.conversion.call.__code__
            name = one.conversion.call.__name__
            yield Finding(code.co_filename, code.co_firstlineno, name, one.rule, one.severity, one.reason, one.mend)


def _amendments(versions: Versions) -> Iterator[Finding]:
    """Yield amendments of codes that no check uses, and of what somebody had read before it was amended (rule 6)."""
    for cascade in versions.cascades():
        for slot in (*cascade.checks, *cascade.handlers):
            function = slot.holder
            for target in function.amends if function is not None else ():
                assert function is not None
                aim = next(one for one in cascade.slots if any(held.call is target.function for held in one.held))
                assert aim.holder is not None
                file, line = function.call.__code__.co_filename, function.call.__code__.co_firstlineno
                used = codes(aim.holder) if isinstance(target.what, str) else None
                if used is not None and target.what not in used:
                    told = ", ".join(sorted(used)) or "none"
                    reason = f"amends {aim.name}/{target.what}, and {aim.holder.name} of {aim.holder.day} rejects with {told}"
                    yield Finding(file, line, function.name, "code", "error", reason, "name a code that it uses")
                for between in cascade.handlers if slot.role == "handler" else ():
                    reader = between.holder
                    assert reader is not None
                    if reader.takes_plan and aim.opened <= between.opened < slot.opened and between is not aim:
                        reason = (
                            f"amends {aim.name}/{target.name}, and {between.name} of {between.opened} has looked at the plan "
                            "before: what it read stays read"
                        )
                        mend = f"see whether {between.name} still decides well; supersede it too where it does not"
                        yield Finding(file, line, function.name, "read-before", "warning", reason, mend)


def _unused(versions: Versions) -> Iterator[Finding]:
    """Yield the columns of records that nobody who takes their snapshot looks at: each makes a decision stale for nothing."""
    takers: dict[Any, list[Function]] = {}
    for function in versions.functions:
        for snapshot in function.snapshots:
            takers.setdefault(snapshot, []).append(function)
    seen: dict[Any, set[str]] = {}
    fields = {field for cascade in versions.cascades() for field in cascade.fields if field.record is not None}
    for field in fields:
        used = {
            name
            for function in takers.get(field.snapshot, ())
            for call in helpers(function.call)
            for name in names(call)
        }
        seen.setdefault(field.record, set()).update(used)
    for record, used in seen.items():
        table = table_of(record.__table__)
        for name in record.model_fields:
            if name not in table.key and name not in used:
                file, line = _class(record)
                yield Finding(
                    file,
                    line,
                    record.__qualname__,
                    "unused",
                    "warning",
                    f"reads {table.name}.{name}, and nobody who takes the record looks at it",
                    "leave it out, or a change of it makes decisions stale for nothing",
                )


def _class(found: type) -> tuple[str, int]:
    module = sys.modules.get(found.__module__)
    file = getattr(module, "__file__", None) or found.__module__
    if module is not None:
        for node in _nodes(module):
            if isinstance(node, ast.ClassDef) and node.name == found.__name__:
                return file, node.lineno
    return file, 1


def _nodes(module: ModuleType) -> list[ast.stmt]:
    try:
        return tree(module).body
    except (OSError, SyntaxError):
        return []


# Of several, the last is the module's own: an older date may be folded into a later one's folder.
_DATED = re.compile(r".*\.v(\d{4})_(\d{2})_(\d{2})(?=\.|$)")


def _imports(versions: Versions) -> Iterator[Finding]:
    """Yield what a layer imports of later dates, and of packages that may decide otherwise one day: it would change with them."""
    for layer in versions.layers:
        module = sys.modules.get(layer.module)
        for node in _nodes(module) if module is not None else ():
            if not isinstance(node, ast.ImportFrom | ast.Import):
                continue
            file = getattr(module, "__file__", None) or layer.module
            base = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for told in [*base, *(f"{(base or [''])[0]}.{one.name}" for one in node.names)]:
                met = _DATED.match(f".{told}.")
                if met is not None and date(*map(int, met.groups())) > layer.day:
                    reason = f"imports {told}, which is of a later date than its own, {layer.day}"
                    yield Finding(
                        file, node.lineno, layer.module, "later", "error", reason, "import from older dates only"
                    )
                    break
            own = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            for name in {one.partition(".")[0] for one in own} if not getattr(node, "level", 0) else ():
                if _foreign(name):
                    reason = f"imports {name}, which is neither the application's own nor dateline, pydantic, SQLAlchemy or Python's"
                    mend = "have the application ask it, and put the answer into the event; a new release of it would change old dates"
                    yield Finding(file, node.lineno, layer.module, "import", "error", reason, mend)


_KNOWN = frozenset({"dateline", "pydantic", "pydantic_core", "annotated_types", "typing_extensions", "sqlalchemy", ""})


def _foreign(name: str) -> bool:
    """Tell whether a package was installed from elsewhere: its file lies where installers put them."""
    if name in _KNOWN or name in sys.stdlib_module_names:
        return False
    module = sys.modules.get(name)
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())] if module is not None else []
    return any({"site-packages", "dist-packages"} & {*Path(place).parts} for place in places if place)


_PLACE = re.compile(r"(?P<file>\S+\.py):(?P<line>\d+) (?P<name>\S+?):")


def refused(error: Unloadable) -> Finding:
    """Return why versions cannot be loaded, as a finding."""
    told = str(error)
    met = _PLACE.search(told)
    rule = re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
    file, line, name = (met["file"], int(met["line"]), met["name"]) if met else ("", 0, "")
    reason, _, mend = (told[met.end() :] if met else told).strip().partition("; ")
    return Finding(file, line, name, rule, "error", reason, mend)
