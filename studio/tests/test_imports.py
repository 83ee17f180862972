"""The arrows between the packages: the studio imports from aotlab and aotlab.sdk, and aotlab nothing of the studio."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import aotlab
from aotlab import sdk

ROOT = Path(__file__).resolve().parents[2]


PUBLIC = {
    "aotlab.sdk",
    *(f"aotlab.{name}" for name in aotlab.__all__),
    *(f"aotlab.sdk.{name}" for name in sdk.__all__),
}


def imported_names(source: str) -> set[str]:
    """Return the full names of what a source imports from aotlab."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("aotlab.")}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "aotlab":
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif (
            isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "aotlab"
        ):
            names.add(f"aotlab.{node.attr}")
    return names


def test_studio_imports_aotlab_and_its_sdk_only():
    paths = sorted((ROOT / "studio" / "src").rglob("*.py"))
    found = {str(path.relative_to(ROOT)): imported_names(path.read_text()) for path in paths}
    assert any(found.values())
    private = {path: names - PUBLIC for path, names in found.items()}
    assert {path: names for path, names in private.items() if names} == {}


def test_packages_of_the_studio_import_in_one_order():
    folder, imported = ROOT / "studio" / "src" / "aotlab_studio", dict[str, set[str]]()
    for path in folder.rglob("*.py"):
        package = path.relative_to(folder).parts[0].removesuffix(".py")
        found = re.findall(r"from aotlab_studio\.(\w+)", path.read_text())
        imported.setdefault(package, set()).update({*found} - {package})
    assert list(TopologicalSorter(imported).static_order())


def test_modules_of_the_page_import_in_one_order():
    paths = (ROOT / "studio" / "src" / "aotlab_studio" / "page").glob("*.js")
    imported = {
        path.stem: re.findall(r"from '\./(\w+)\.js';$", path.read_text(), re.MULTILINE) for path in paths
    }
    assert list(TopologicalSorter(imported).static_order())


def test_framework_does_not_import_the_studio():
    folders = [path for path in (ROOT / "src" / "aotlab").iterdir() if path.is_dir()]
    paths = [path for folder in folders for path in folder.resolve().rglob("*.py")]
    assert len(paths) > 100
    assert [
        path
        for path in paths
        if "import aotlab_studio" in path.read_text() or "from aotlab_studio" in path.read_text()
    ] == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from aotlab import Tracker, InputError", {"aotlab.Tracker", "aotlab.InputError"}),
        ("from aotlab.sdk import Region", {"aotlab.sdk.Region"}),
        (
            "def f():\n    from aotlab.engine.tracking.tracker import Tracker",
            {"aotlab.engine.tracking.tracker.Tracker"},
        ),
        ("import aotlab.media.coco", {"aotlab.media.coco"}),
        ("import aotlab\naotlab.engine", {"aotlab.engine"}),
        ("from aotlab_studio.files import write_bytes", set()),
    ],
)
def test_imported_names_are_found(source, names):
    assert imported_names(source) == names
