"""Commands killed between two files and run again: the same bytes, and no temporary file stays."""

import json

import pytest

from aotlab.media.masks import write_mask
from tests.drawn_clips import draw_clip, stems_from, write_frames
from tests.miniatures import make_mose
from tests.processes import run_python

pytestmark = pytest.mark.slow
KILLED = """
import importlib, os, signal, sys
import torch
torch.set_num_threads(1)
tool = importlib.import_module(f"aotlab.tools.{sys.argv[1]}")
import aotlab.engine.benchmark.evaluator, aotlab.video.batch
aotlab.video.resume.SAVE_SECONDS = 0.0

def run(name, files=0):
    process = os.fork()  # a fork has all modules: it starts at once
    if process:
        return os.waitpid(process, 0)[1]
    replace, left = os.replace, [files]
    def kill_before_last(*paths, **options):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*paths, **options)
    os.replace = kill_before_last
    sys.stdout = sys.stderr = open(os.devnull, "w")
    os._exit(tool.main([*sys.argv[3:], "--output", f"{sys.argv[2]}/{name}"]))

assert run("calm") == 0
print(sum(run("killed", files) == signal.SIGKILL for files in (1, 2, 3, 8, 13, 5)))
assert run("killed") == 0
"""
"""runs a command undisturbed, and once more with kills before the n-th file is complete; prints their number"""


def run_killed(tool, folder, *arguments):
    """Return the results of an undisturbed and of a killed run, by path."""
    done = run_python("-c", KILLED, tool, folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 4
    assert not [path for path in (folder / "killed").rglob("*") if ".part" in path.name]
    return [
        {
            str(path.relative_to(folder / name)): path.read_bytes()
            for path in (folder / name).rglob("*")
            if path.suffix in (".png", ".mp4", ".json", ".csv") and path.name[0] != "."
        }
        for name in ("calm", "killed")
    ]


@pytest.fixture
def clips(tmp_path):
    for name in "abc":
        clip = draw_clip(stems_from(0, 8), seed=ord(name))
        write_frames(tmp_path / "clips" / name, clip)
        write_mask(tmp_path / "clips" / f"{name}.png", clip.labels[0])
    return tmp_path / "clips"


@pytest.mark.parametrize(("line", "count"), [("clips/a --mask clips/a.png", 18), ("--jobs clips", 55)])
def test_killed_video_or_list_is_the_same(tmp_path, clips, line, count):
    words = line.replace("clips", str(clips)).split()
    calm, killed = run_killed("track", tmp_path, *words, "--write", "masks,overlay,objects,coco")
    assert len(calm) >= count
    assert killed == calm


def test_killed_evaluation_is_the_same(tmp_path):
    make_mose(tmp_path / "mose")
    arguments = ["--dataset", "mose", "--root", tmp_path / "mose", "--split", "valid"]
    calm, killed = run_killed("eval", tmp_path, *arguments)
    assert len(calm) >= 9
    assert sorted(calm) == sorted(killed)
    # records and scores hold the run's seconds
    assert all(killed[name] == content for name, content in calm.items() if not name.endswith(".json"))
    calm_scores, killed_scores = (json.loads(files["scores.json"]) for files in (calm, killed))
    assert calm_scores | {"fps": None} == killed_scores | {"fps": None}
