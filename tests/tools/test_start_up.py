"""Start-up of commands: quick answers without heavy imports, each module loaded once."""

import json

import pytest

from aotlab.configs.files import ROOT
from aotlab.tools.cli.command import COMMANDS, MODULES, PACKAGES, find_command
from aotlab_testing.files import SAMPLE
from aotlab_testing.processes import run_python
from aotlab_testing.start_up import HEAVY, RUN_LINES, run_code

WITHOUT_MODULE = """
import sys
sys.modules[sys.argv[1]] = None
from aotlab.tools.main import main
print(main(sys.argv[2:]), flush=True)
"""
"""Runs a command line where a module is not installed; prints its exit code."""
ALONE = """
import sys
from aotlab.utils import plugins
read = plugins._read_entry_points
plugins._read_entry_points = lambda *args: [point for point in read(*args) if point.dist.name == "aotlab"]
from aotlab.tools.main import main
print([main(line.split()) for line in sys.argv[1:]])
"""
"""Runs command lines where no other package is installed; prints their exit codes."""
OLD_NAMES = {"utils", "configs", "networks", "dataloaders", "evaluation", "engine", "tools"}
"""What the packages were called when they were installed at top level."""
SCRIPT = f"""
import json, runpy, sys
sys.argv, sys.path[0] = ["eval.py", "--dataset", "davis2017", "--print-config"], {str(ROOT / "tools")!r}
try:
    runpy.run_path({str(ROOT / "tools" / "eval.py")!r}, run_name="__main__")
except SystemExit as left:
    assert left.code == 0
print(json.dumps([(name, getattr(module, "__file__", None)) for name, module in sys.modules.items()]))
"""
"""Runs a tool by its file, and prints all modules with their files."""


def test_framework_imports_no_module_of_a_package():
    line = "import sys, aotlab.tools.eval, aotlab.tools.train, aotlab.engine.tracking.tracker; print(*sys.modules)"
    loaded = {*run_python("-c", line).stdout.split()}
    assert "aotlab.engine.recurrence" in loaded
    assert not [name for name in loaded if name in ("av", "OpenEXR", "tifffile") or name.startswith("aotlab_")]


def test_every_tool_is_a_command():
    modules = {path.stem for path in (ROOT / "tools").glob("*.py")} - {"__init__", "main"}
    names = [name for name in COMMANDS if name not in PACKAGES]
    assert {MODULES.get(name, name.replace("-", "_")) for name in names} == modules
    assert [find_command(name).name for name in names] == [f"aotlab {name}" for name in names]


@pytest.mark.parametrize("module", ["cv2", "pycocotools"])
def test_votes_need_no_scoring_modules(tmp_path, module):
    masks = SAMPLE / "Annotations" / "480p"
    done = run_python("-c", WITHOUT_MODULE, module, "ensemble", masks, "--output", tmp_path / "out")
    assert (done.stderr, done.stdout.splitlines()[-1]) == ("", "0")


def test_commands_of_missing_packages_are_listed_and_named():
    done = run_python("-c", ALONE, *(f"{name} video" for name in PACKAGES), "--help")
    assert done.stdout.splitlines()[-1] == f"{[2] * len(PACKAGES) + [0]}"
    expected = [
        f"error: aotlab {name}: not installed; pip install {PACKAGES[name][1]} in a checkout" for name in PACKAGES
    ]
    assert done.stderr.splitlines() == expected
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


MISSING_PATHS = [
    "eval --dataset davis2017 --output out --config aotx",
    "eval --dataset davis2018 --output out",
    "eval --dataset folder --root . --output out --checkpoint gone.safetensors",
    "score --dataset davis2017 --root . gone",
    "submit --dataset davis2017 --root . --results gone --output out.zip",
    "ensemble gone lost --output out",
    "train --config gone.yaml",
    "check_data gone",
    "export --checkpoint gone.safetensors --output out",
]


def test_help_and_mistyped_paths_skip_heavy_imports(tmp_path):
    tools = sorted(COMMANDS.keys() - PACKAGES)
    lines = [["--help"], *([tool, "--help"] for tool in tools), *map(str.split, MISSING_PATHS)]
    run_code(tmp_path, RUN_LINES, json.dumps(lines), *HEAVY)


def test_wrong_arguments_are_rejected_without_torch(tmp_path):
    line = ["eval", "--dataset", "davis2017", "--device", "gpu", "--output", "out"]
    run_code(tmp_path, RUN_LINES, json.dumps([line]), "torch")
    assert sorted(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_modules_are_loaded_once(tmp_path):
    modules = dict(json.loads(run_code(tmp_path, SCRIPT).splitlines()[-1]))
    found = [file for file in modules.values() if file and file.startswith(str(ROOT)) and ".venv" not in file]
    assert "torch" in modules
    assert sorted(found) == sorted(set(found))
    assert not set(modules) & OLD_NAMES
