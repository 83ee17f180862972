"""Imports of aotlab-trackers: names of aotlab that are for packages; heavy libraries only where a tracker is loaded."""

from pathlib import Path

from aotlab.tools.weights import main as list_weights
from aotlab.utils.plugins import TRACKER_PLUGINS, list_plugins
from aotlab_testing.imports import find_private_imports

SOURCE = Path(__file__).resolve().parents[1] / "src" / "aotlab_trackers"


def test_only_names_for_packages_are_imported():
    assert find_private_imports(SOURCE) == {}


def test_loaders_import_no_library_of_models():
    source = (SOURCE / "loading.py").read_text()
    top = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert top
    assert not [line for line in top if "torch" in line or "transformers" in line or "cutie" in line]


def test_every_name_is_listed_with_its_license_and_limits(capsys):
    assert list_weights([]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if " license " in line)
    assert rows.keys() == list_plugins(TRACKER_PLUGINS).keys()
    assert all("an interrupted run starts again" in text for text in rows.values())
