"""Imports of aotlab-trackers: of aotlab, only public names; heavy libraries only where a tracker is loaded."""

from pathlib import Path

import aotlab
from aotlab import sdk
from aotlab.tools.weights import main as list_weights
from aotlab.utils.plugins import TRACKER_PLUGINS, list_plugins
from aotlab_testing.imports import list_imports

SOURCES = sorted((Path(__file__).resolve().parents[1] / "src").rglob("*.py"))
PUBLIC = {
    *(f"aotlab.{name}" for name in (*aotlab.__all__, "sdk")),
    *(f"aotlab.sdk.{name}" for name in sdk.__all__),
}


def test_trackers_import_public_names_only():
    found = {path.name: {name for name in list_imports(path.read_text()) if name[:7] == "aotlab."} for path in SOURCES}
    assert any(found.values())
    assert {name: names - PUBLIC for name, names in found.items() if names - PUBLIC} == {}


def test_loaders_import_no_library_of_models():
    (source,) = (path.read_text() for path in SOURCES if path.name == "loading.py")
    top = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert top
    assert not [line for line in top if "torch" in line or "transformers" in line or "cutie" in line]


def test_every_name_is_listed_with_its_license_and_limits(capsys):
    assert list_weights([]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if " license " in line)
    assert rows.keys() == list_plugins(TRACKER_PLUGINS).keys()
    assert all("an interrupted run starts again" in text for text in rows.values())
