"""Start-up of commands: quick answers without heavy imports, each module loaded once."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from aotlab.configs.files import ROOT
from aotlab.media.masks import write_mask
from aotlab.tools.cli.command import COMMANDS, MODULES, find_command
from aotlab_testing.files import SAMPLE
from aotlab_testing.processes import RUN_SECONDS, run_python

HEAVY = {
    "torch", "torchvision", "timm", "numpy", "pydantic", "cv2", "PIL", "scipy", "matplotlib", "av", "yaml", "tqdm",
    "pycocotools", "tensorboard", "onnx", "onnxruntime", "safetensors",
}  # fmt: skip
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
RUN_LINES = """
import json, sys
from aotlab.tools.main import main
for line in json.loads(sys.argv[1]):
    try:
        assert main(line) in (0, 2), line
    except SystemExit as left:
        assert left.code in (0, 2), line
    heavy = {name.split(".")[0] for name in sys.modules} & {*sys.argv[2:]}
    assert not heavy, (line, heavy)
"""
"""Runs command lines one after the other; an error for the first that imports one of the modules named after them."""
SCRIPT = f"""
import json, runpy, sys
sys.argv, sys.path[0] = ["train.py", "--print-config"], {str(ROOT / "tools")!r}
try:
    runpy.run_path({str(ROOT / "tools" / "train.py")!r}, run_name="__main__")
except SystemExit as left:
    assert left.code == 0
print(json.dumps([(name, getattr(module, "__file__", None)) for name, module in sys.modules.items()]))
"""
"""Runs a tool by its file, and prints all modules with their files."""


def run_code(tmp_path, code, *arguments):
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    command = [sys.executable, "-c", code, *arguments]
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": RUN_SECONDS}
    done = subprocess.run(command, **options)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_framework_imports_no_module_of_a_package():
    line = "import sys, aotlab.tools.eval, aotlab.tools.train, aotlab.engine.tracking.tracker; print(*sys.modules)"
    loaded = {*run_python("-c", line).stdout.split()}
    assert "aotlab.engine.recurrence" in loaded
    assert not [name for name in loaded if name in ("av", "OpenEXR", "tifffile") or name.startswith("aotlab_")]


def test_every_tool_is_a_command():
    modules = {path.stem for path in (ROOT / "tools").glob("*.py")} - {"__init__", "main"}
    commands = {MODULES.get(name, name.replace("-", "_")): find_command(name) for name in COMMANDS}
    assert commands.keys() == modules
    assert [command.name for command in commands.values()] == [f"aotlab {name}" for name in COMMANDS]


@pytest.mark.parametrize("module", ["cv2", "pycocotools"])
def test_votes_need_no_scoring_modules(tmp_path, module):
    masks = SAMPLE / "Annotations" / "480p"
    done = run_python("-c", WITHOUT_MODULE, module, "ensemble", masks, "--output", tmp_path / "out")
    assert (done.stderr, done.stdout.splitlines()[-1]) == ("", "0")


def test_aotlab_alone_tracks_and_names_other_outputs(tmp_path):
    line = f"track {SAMPLE}/rabbit.mp4 --mask {SAMPLE}/rabbit.png --end 0 --output {tmp_path}/out"
    lines = [f"{line} --write masks,objects,overlay,coco", f"{line} --write exr"]
    lines.append(f"render {tmp_path}/out --write overlay --refine-edges")
    done = run_python("-c", ALONE, "render --help", *lines)
    assert done.stdout.splitlines()[-1] == "[0, 0, 2, 2]", done.stderr
    assert "--per-object" not in done.stdout
    unknown, option = done.stderr.splitlines()[-2:]
    names = "masks, objects, overlay, coco; for others, see https://aotlab.github.io/aotlab/formats.html"
    assert unknown == f"error: write exr: not one of {names}"
    assert "No such option '--refine-edges'" in option


MISSING_PATHS = [
    "track gone.mp4 --mask gone.png --output out",
    "track gone.mp4 --mask gone.png --output out --checkpoint gone.safetensors",
    "track gone.mp4 --mask gone.png --output out --config aotx",
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
    lines = [["--help"], *([tool, "--help"] for tool in sorted(COMMANDS)), *map(str.split, MISSING_PATHS)]
    run_code(tmp_path, RUN_LINES, json.dumps(lines), *HEAVY)


INVALID_OPTIONS = [
    "--mask rabbit.png --device gpu",
    "--mask rabbit.png --write masks,foo",
    "--mask rabbit.png --end 9999",
    "--mask rabbit.png --remove 3:7",
    "--mask rabbit.png --realtime --both-directions",
    "--mask 99=rabbit.png",
    "--mask rabbit.mp4",
    "--mask small.png",
    "--box 1,2,3",
    "--box 9000,2,310,410",
    "--box 1,2,30,40 --box 5,6,70,80",
    "--negative-point 5,6 --point :2=7,8",
]


def test_wrong_arguments_are_rejected_without_torch(tmp_path):
    sample = ROOT / "datasets" / "sample"
    for name in ("rabbit.mp4", "rabbit.png"):
        shutil.copy(sample / name, tmp_path)
    write_mask(tmp_path / "small.png", np.ones((48, 64), np.uint8))
    (tmp_path / "photos").mkdir()
    lines = [f"track rabbit.mp4 {line}" for line in INVALID_OPTIONS]
    lines += ["track photos --mask rabbit.png", "mask rabbit.mp4 --box 9000,2,310,410"]
    lines += ["mask rabbit.mp4 --frame 99 --point 1,2", "eval --dataset davis2017 --device gpu --output out"]
    before = sorted(tmp_path.iterdir())
    run_code(tmp_path, RUN_LINES, json.dumps([line.split() for line in lines]), "torch")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_modules_are_loaded_once(tmp_path):
    modules = dict(json.loads(run_code(tmp_path, SCRIPT).splitlines()[-1]))
    found = [file for file in modules.values() if file and file.startswith(str(ROOT)) and ".venv" not in file]
    assert "torch" in modules
    assert sorted(found) == sorted(set(found))
    assert not set(modules) & OLD_NAMES


TRACK = """
import sys
from aotlab.tools.main import main
assert main(["track", *sys.argv[1:]]) == 0
names = [name for name, module in sys.modules.items() if name.startswith("aotlab.") and module.__file__]
print(len(names), sum(len(open(sys.modules[name].__file__, encoding="utf-8").readlines()) for name in names))
"""
"""Tracks, and prints the numbers of modules of aotlab and of their lines."""


@pytest.mark.slow
def test_tracking_imports_a_bounded_part_of_the_package(tmp_path):
    line = ["--mask", SAMPLE / "rabbit.png", "--end", "0", "--write", "masks", "--output", tmp_path / "out"]
    done = run_python("-c", TRACK, SAMPLE / "rabbit.mp4", *line)
    modules, lines = map(int, done.stdout.splitlines()[-1].split())
    assert modules <= 142
    assert lines <= 18_100
