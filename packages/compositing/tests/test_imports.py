"""Imports of aotlab-compositing: of aotlab, public names, those of aotlab.internal, and shared modules."""

from pathlib import Path

import aotlab
from aotlab import internal, sdk
from aotlab_testing.imports import list_imports

SOURCES = sorted((Path(__file__).resolve().parents[1] / "src").rglob("*.py"))
PUBLIC = {
    *(f"aotlab.{name}" for name in (*aotlab.__all__, "sdk", "internal")),
    *(f"aotlab.sdk.{name}" for name in sdk.__all__),
    *(f"aotlab.internal.{name}" for name in internal.__all__),
}


SHARED = ("aotlab.utils.", "aotlab.media.", "aotlab.tools.cli.")
"""Beginnings of the modules that packages of the same version import."""


def test_compositing_imports_public_names_only():
    names = {path.name: {name for name in list_imports(path.read_text()) if name[:7] == "aotlab."} for path in SOURCES}
    found = {
        file: {name for name in used - PUBLIC if not f"{name}.".startswith(SHARED)} for file, used in names.items()
    }
    assert any(names.values())
    assert {file: private for file, private in found.items() if private} == {}


def test_options_import_no_output():
    (source,) = (path for path in SOURCES if path.name == "options.py")
    assert {*list_imports(source.read_text())} == {"aotlab.sdk", "aotlab.sdk.OutputOption"}
