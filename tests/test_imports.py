"""Imports between packages, and rules of the library's code."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_ROOMS: list[tuple[str, ...]] = [
    ("utils",), ("configs",), ("media",), ("networks", "dataloaders", "evaluation"), ("engine",), ("tools",),
    ("research",),
]  # fmt: skip
"""packages from left to right; those of one entry do not know each other"""
ALLOWED = {
    package: {other for room in _ROOMS[:place] for other in room} | ({package} - {"tools"})
    for place, rooms in enumerate(_ROOMS)
    for package in rooms
}
"""package to the packages that it may import"""
LIBRARY = [package for package in ALLOWED if package not in ("tools", "research")]
LIGHT = {
    "configs.files", "configs.protocol", "configs.schema", "configs.training", "dataloaders.benchmarks.datasets",
    "dataloaders.benchmarks.sequences", "engine.benchmark.paper_tables", "tools.cli",
    "utils.environment", "utils.errors", "utils.files",
    "utils.locks", "utils.numbers", "utils.plugins", "utils.processes", "utils.progress",
}  # fmt: skip
"""what tools may import at their top, so that --help and a mistyped path answer at once; the rest where it is used"""


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(source: str, package: str) -> Iterator[str]:
    """Full names of all modules that a source imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [package if node.level else "", node.module]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def breaches(source: str, package: str) -> set[str]:
    """Packages of ours that a source of ``package`` imports and may not; tools share aotlab.tools.cli alone."""
    names = [name.split(".") for name in imported(source, f"aotlab.{package}")]
    if package == "tools":
        names = [name for name in names if name[:3] != ["aotlab", "tools", "cli"]]
    subpackages = {name[1] for name in names if name[0] == "aotlab" and len(name) > 1}
    subpackages |= {name[0] for name in names if name[0] in ("benchmarks", "research")}
    return (subpackages & set(ALLOWED)) - ALLOWED[package]


def heavy_imports(source: str) -> set[str]:
    """Modules that a tool imports at its top, except for type checking, and that are not known to be light."""
    found = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
    ours = {name.removeprefix("aotlab.") for name in found if name.startswith("aotlab.")}
    others = {name for name in found if name.split(".")[0] not in {*sys.stdlib_module_names, "aotlab"}}
    return others | {name for name in ours if not any(f"{name}.".startswith(f"{light}.") for light in LIGHT)}


def calls(source: str) -> Iterator[tuple[str, int]]:
    """Names of called functions and ``.methods``, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield f".{node.func.attr}", node.lineno


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """Modules that lead back to themselves, grouped; ``imports``: the modules that each one imports."""
    reached = {name: set(found) for name, found in imports.items()}
    for middle in imports:
        for name in imports:
            if middle in reached[name]:
                reached[name] |= reached[middle]
    left, groups = {name for name in imports if name in reached[name]}, []
    while left:
        name = left.pop()
        groups.append({name} | {other for other in left if other in reached[name] and name in reached[other]})
        left -= groups[-1]
    return groups


def module_name(path: Path) -> str:
    """``aotlab.engine.tracking.tracker`` for a file; that of its folder for an ``__init__.py``."""
    return ".".join(("aotlab", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def test_no_module_leads_back_to_itself_by_imports_anywhere():
    files = {module_name(path): path for package in ALLOWED for path in sources(package)}
    imports = {}
    for name, path in files.items():
        found = set(imported(path.read_text(), name.rpartition(".")[0]))
        imports[name] = {other for other in found if other in files and other != name}
    assert circles(imports) == []


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [{"b", "c"}]


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_leftwards_only(package):
    found = {str(path.relative_to(ROOT)): breaches(path.read_text(), package) for path in sources(package)}
    assert found
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("package", "source", "breach"),
    [
        ("networks", "import aotlab.dataloaders.lint", "dataloaders"),
        ("networks", "def f():\n    from aotlab.engine.tracking.tracker import Tracker", "engine"),
        ("utils", "from aotlab.configs import load", "configs"),
        ("dataloaders", "if TYPE_CHECKING:\n    from aotlab.evaluation.davis import x", "evaluation"),
        ("engine", "import numpy, aotlab.tools.eval as e", "tools"),
        ("media", "from aotlab.tools.track import main", "tools"),
        ("tools", "from aotlab.tools import track", "tools"),
        ("tools", "from . import track", "tools"),
        ("tools", "from research.speed.compare import main", "research"),
        ("engine", "from aotlab.tools.cli import parser", "tools"),
    ],
)
def test_a_breach_is_found(package, source, breach):
    assert breaches(source, package) == {breach}


def test_evaluation_imports_no_torch():
    names = {
        name.split(".")[0]
        for path in sources("evaluation")
        for name in imported(path.read_text(), "evaluation")
    }
    assert not {name for name in names if name.startswith("torch")}


@pytest.mark.parametrize("path", sources("tools"), ids=lambda path: path.stem)
def test_tools_import_what_is_heavy_where_they_use_it(path):
    assert heavy_imports(path.read_text()) == set()


def test_a_heavy_import_of_a_tool_is_found():
    source = "import numpy, re\nfrom aotlab.engine.memory.bank import MemoryBank\nfrom aotlab.utils.files import remove"
    assert heavy_imports(source) == {"numpy", "engine.memory.bank"}
    assert heavy_imports("def main():\n    import torch\nif TYPE_CHECKING:\n    import numpy") == set()


@pytest.mark.parametrize("package", LIBRARY)
def test_the_library_neither_prints_nor_chooses_a_device(package):
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sources(package)
        for name, line in calls(path.read_text())
        if name in ("print", ".cuda", "exit")
    ]
    assert found == []


@pytest.mark.parametrize("package", LIBRARY)
def test_messages_of_the_library_name_arguments_and_no_options(package):
    allowed = re.compile(
        r"torchrun|nproc-per-node|aotlab weights|--force|--restart"
    )  # whose options these are
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for path in sources(package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value.strip()
        if re.search(r"(^|[\s(])--[a-z]", node.value) and not allowed.search(node.value)
    }
    # these spell out whole commands
    assert {
        line for line in found if not re.search(r"report_text\.py|benchmarks/datasets\.py|zoo\.py", line)
    } == set()
