"""Start-up of commands: quick answers without heavy imports; which outputs there are without other packages."""

import json
import shutil

import numpy as np
import pytest

from aotlab.configs.files import ROOT
from aotlab.media.masks import write_mask
from aotlab_testing.files import SAMPLE
from aotlab_testing.processes import run_python
from aotlab_testing.start_up import HEAVY, RUN_LINES, run_code

ALONE = """
import sys
from aotlab.utils import plugins
read = plugins._read_entry_points
plugins._read_entry_points = lambda *args: [point for point in read(*args) if point.dist.name == "aotlab-video"]
from aotlab.tools.main import main
print([main(line.split()) for line in sys.argv[1:]])
"""
"""Runs command lines where no other package is installed; prints their exit codes."""


def test_video_alone_tracks_and_names_other_outputs(tmp_path):
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
]


def test_help_and_mistyped_paths_skip_heavy_imports(tmp_path):
    lines = [[tool, "--help"] for tool in ("track", "render", "mask")]
    run_code(tmp_path, RUN_LINES, json.dumps([*lines, *map(str.split, MISSING_PATHS)]), *HEAVY)


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
    lines += ["mask rabbit.mp4 --frame 99 --point 1,2"]
    before = sorted(tmp_path.iterdir())
    run_code(tmp_path, RUN_LINES, json.dumps([line.split() for line in lines]), "torch")
    assert sorted(tmp_path.iterdir()) == before


TRACK = """
import sys
from aotlab.tools.main import main
assert main(["track", *sys.argv[1:]]) == 0
ours = ("aotlab.", "aotlab_video")
names = [name for name, module in sys.modules.items() if name.startswith(ours) and module.__file__]
print(len(names), sum(len(open(sys.modules[name].__file__, encoding="utf-8").readlines()) for name in names))
"""
"""Tracks, and prints the numbers of modules of both packages and of their lines."""


@pytest.mark.slow
def test_tracking_imports_a_bounded_part_of_the_package(tmp_path):
    line = ["--mask", SAMPLE / "rabbit.png", "--end", "0", "--write", "masks", "--output", tmp_path / "out"]
    done = run_python("-c", TRACK, SAMPLE / "rabbit.mp4", *line)
    modules, lines = map(int, done.stdout.splitlines()[-1].split())
    assert modules <= 147
    assert lines <= 18_300
