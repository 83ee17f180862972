"""Imports of the studio: names of aotlab and aotlab-video that are for packages, and the order of its own modules."""

import re
from graphlib import TopologicalSorter
from pathlib import Path

import aotlab_video
from aotlab_testing.imports import find_private_imports, list_imports

SOURCE = Path(__file__).resolve().parents[1] / "src" / "aotlab_studio"


def test_only_names_for_packages_are_imported():
    assert find_private_imports(SOURCE, aotlab_video) == {}


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
