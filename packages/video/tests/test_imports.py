"""Imports of aotlab-video: what it may use of the framework, its loggers, the order of its folders."""

import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import aotlab_video
from aotlab_testing.imports import find_private_imports, find_private_names, list_imports
from aotlab_testing.processes import run_python

SOURCE = Path(__file__).resolve().parents[1] / "src" / "aotlab_video"


def test_only_names_for_packages_are_imported():
    assert find_private_imports(SOURCE) == {}


@pytest.mark.parametrize(("source", "names"), [
    ("from aotlab import Tracker\nfrom aotlab.sdk import CutDetector\nimport aotlab.utils.files", set()),
    ("from aotlab_video.runs.run import track", set()),
    ("from aotlab.configs.load import load_config", {"aotlab.configs.load", "aotlab.configs.load.load_config"}),
    ("from aotlab_compositing import outputs", {"aotlab_compositing", "aotlab_compositing.outputs"}),
    ("import aotlab as a\na.engine", {"aotlab.engine"}),
])  # fmt: skip
def test_private_names_are_found(source, names):
    assert find_private_names(source, "aotlab_video") == names


def test_folders_import_in_one_order():
    imported = dict[str, set[str]]()
    for path in SOURCE.rglob("*.py"):
        folder = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        names = [name.split(".") for name in list_imports(path.read_text())]
        found = {name[1] for name in names if name[0] == "aotlab_video" and len(name) > 1}
        imported.setdefault(folder, set()).update(found - {folder})
    order = list(TopologicalSorter(imported).static_order())
    assert [name for name in order if (SOURCE / name).is_dir()] == ["sources", "masks", "runs", "commands"]


def test_messages_are_those_of_the_logger_of_aotlab():
    logger = re.compile(r"^log = logging\.getLogger\((.*)\)", re.MULTILINE)
    assert {name for path in SOURCE.rglob("*.py") for name in logger.findall(path.read_text())} == {'"aotlab.video"'}


def test_public_names_are_imported_when_they_are_used():
    assert all(getattr(aotlab_video, name) is not None for name in aotlab_video.__all__)
    program = "import aotlab_video, sys; print(*{'av', 'numpy', 'torch'} & {*sys.modules})"
    assert run_python("-c", program, check=True).stdout.split() == []
