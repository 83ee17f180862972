"""Imports of the studio: of aotlab, public names, those of aotlab.internal, and shared modules."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import aotlab
from aotlab import internal, sdk
from aotlab_testing.imports import list_imports

SOURCE = Path(__file__).resolve().parents[1] / "src" / "aotlab_studio"
PUBLIC = {
    *(f"aotlab.{name}" for name in (*aotlab.__all__, "sdk", "internal")),
    *(f"aotlab.sdk.{name}" for name in sdk.__all__),
    *(f"aotlab.internal.{name}" for name in internal.__all__),
}


SHARED = ("aotlab.utils.", "aotlab.media.", "aotlab.tools.cli.")
"""Beginnings of the modules that packages of the same version import."""


def find_private_names(source: str) -> set[str]:
    """Return the names of aotlab that a source imports or uses and that are not public."""
    nodes = list(ast.walk(ast.parse(source)))
    aliases = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    bound = {alias.asname or alias.name for alias in aliases if alias.name == "aotlab"}
    used = {
        f"aotlab.{node.attr}"
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in bound
    }
    imported = {name for name in list_imports(source) if name.startswith("aotlab.")}
    return {name for name in used | imported if name not in PUBLIC and not f"{name}.".startswith(SHARED)}


def test_studio_imports_only_names_for_it():
    paths = sorted(SOURCE.rglob("*.py"))
    found = {str(path.relative_to(SOURCE)): find_private_names(path.read_text()) for path in paths}
    assert any(list_imports(path.read_text()) for path in paths)
    assert {path: names for path, names in found.items() if names} == {}


def test_packages_of_the_studio_import_in_one_order():
    imported = dict[str, set[str]]()
    for path in SOURCE.rglob("*.py"):
        package = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        names = [name.split(".") for name in list_imports(path.read_text())]
        found = {name[1] for name in names if name[0] == "aotlab_studio" and len(name) > 1}
        imported.setdefault(package, set()).update(found - {package})
    assert list(TopologicalSorter(imported).static_order())


def test_modules_of_the_page_import_in_one_order():
    paths = (SOURCE / "page").glob("*.js")
    imported = {path.stem: re.findall(r"from '\./(\w+)\.js';$", path.read_text(), re.MULTILINE) for path in paths}
    assert list(TopologicalSorter(imported).static_order())


@pytest.mark.parametrize(("source", "names"), [
    ("from aotlab import Tracker, InputError", set()),
    ("from aotlab.sdk import Region", set()),
    ("from aotlab_studio.utils.files import write_json", set()),
    ("from aotlab.utils.files import writing", set()),
    ("import aotlab.configs.load", {"aotlab.configs.load"}),
    ("import aotlab\naotlab.engine", {"aotlab.engine"}),
    ("import aotlab as a\na.engine", {"aotlab.engine"}),
])  # fmt: skip
def test_private_names_are_found(source, names):
    assert find_private_names(source) == names
