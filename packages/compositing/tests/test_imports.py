"""Imports of aotlab-compositing: of aotlab, only public names and those of aotlab.internal."""

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


def test_compositing_imports_public_names_only():
    found = {path.name: {name for name in list_imports(path.read_text()) if name[:7] == "aotlab."} for path in SOURCES}
    assert any(found.values())
    assert {name: names - PUBLIC for name, names in found.items() if names - PUBLIC} == {}


def test_options_import_no_output():
    (source,) = (path for path in SOURCES if path.name == "options.py")
    assert {*list_imports(source.read_text())} == {"aotlab.sdk", "aotlab.sdk.OutputOption"}
