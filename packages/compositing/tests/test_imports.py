"""Imports of aotlab-compositing: names of aotlab and aotlab-video that are for packages."""

from pathlib import Path

import aotlab_video
from aotlab_testing.imports import find_private_imports, list_imports

SOURCE = Path(__file__).resolve().parents[1] / "src" / "aotlab_compositing"


def test_only_names_for_packages_are_imported():
    assert find_private_imports(SOURCE, aotlab_video) == {}


def test_options_import_no_output():
    names = {*list_imports((SOURCE / "options.py").read_text())}
    assert names == {"aotlab_video", "aotlab_video.OutputOption"}
