"""Commands killed between two files and run again: equal results, no temporary files."""

import json
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from io import StringIO
from random import Random

import pytest
import torch

from aotlab.media.masks import write_mask
from aotlab.tools import eval as evaluation
from aotlab_testing.drawn_clips import draw_moving_clip, stems_from, write_frames
from aotlab_testing.miniatures import make_mose
from aotlab_testing.processes import kill_at_call, run_python, start_python, survives_in_subprocess
from aotlab_testing.video.runs import read_results
from aotlab_video.commands import track
from aotlab_video.runs import loop
from aotlab_video.runs.store import Results

pytestmark = pytest.mark.slow
KILLS = 4
"""Number of kills at random moments; each takes as long as the start of the command."""
TOOLS = {"track": track.main, "eval": evaluation.main}


def run_tool(tool, output, arguments, last_file=0):
    """Run a command; die before the file of this number is complete."""
    torch.set_num_threads(1)
    loop.SAVE_SECONDS = 0.0
    kill_at_call("os.replace", last_file)
    sys.stdout = sys.stderr = StringIO()
    assert TOOLS[tool]([*map(str, arguments), "--output", str(output)]) == 0


def run_killed(tool, folder, *arguments):
    """Return the results of an undisturbed and of a killed run, by path."""
    assert survives_in_subprocess(run_tool, tool, folder / "undisturbed", arguments)
    ends = [
        survives_in_subprocess(run_tool, tool, folder / "killed", arguments, last_file)
        for last_file in (1, 2, 3, 8, 13, 5)
    ]
    assert ends.count(False) >= 4
    assert survives_in_subprocess(run_tool, tool, folder / "killed", arguments)
    assert not [path for path in (folder / "killed").rglob("*") if ".part" in path.name]
    return [read_results(folder / name) for name in ("undisturbed", "killed")]


@pytest.fixture
def clips(tmp_path):
    for name in "abc":
        clip = draw_moving_clip(stems_from(0, 8), seed=ord(name))
        write_frames(tmp_path / "clips" / name, clip)
        write_mask(tmp_path / "clips" / f"{name}.png", clip.labels[0])
    return tmp_path / "clips"


@pytest.mark.parametrize(("line", "count"), [("clips/a --mask clips/a.png", 18), ("--jobs clips", 55)])
def test_killed_video_or_list_is_the_same(tmp_path, clips, line, count):
    words = line.replace("clips", str(clips)).split()
    expected, killed = run_killed("track", tmp_path, *words, "--write", "masks,overlay,objects,coco")
    assert len(expected) >= count
    assert killed == expected


def test_killed_evaluation_is_the_same(tmp_path):
    make_mose(tmp_path / "mose")
    arguments = ["--dataset", "mose", "--root", tmp_path / "mose", "--split", "valid"]
    expected, killed = run_killed("eval", tmp_path, *arguments)
    assert len(expected) >= 9
    assert sorted(expected) == sorted(killed)
    # records and scores hold the run's seconds
    assert all(killed[name] == content for name, content in expected.items() if not name.endswith(("json", "jsonl")))
    expected_scores, killed_scores = (json.loads(files["scores.json"]) for files in (expected, killed))
    other = {"fps": None, "provenance": None}
    assert expected_scores | other == killed_scores | other


@pytest.mark.parametrize("line", ["track clips/a --mask clips/a.png", "track --jobs clips", "eval"])
def test_run_killed_at_random_moments_is_the_same(tmp_path, clips, line):
    """Kills by the system at any moment of the run; the last run resumes from what the others have stored."""
    make_mose(tmp_path / "mose")
    mose = ["--dataset", "mose", "--root", str(tmp_path / "mose"), "--split", "valid"]
    words = [word.replace("clips", str(clips)) for word in line.split()] + (
        mose if line == "eval" else ["--write", "masks,soft"]
    )
    command, random = ("-m", "aotlab", *words, "--output"), Random(0)
    start = time.monotonic()
    assert run_python(*command, tmp_path / "whole").returncode == 0
    seconds, killed = time.monotonic() - start, 0
    while killed < KILLS:
        process = start_python(*command, tmp_path / "killed")
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=random.uniform(0.3, 1) * seconds)
        killed += process.poll() is None
        process.kill()
        process.communicate()
        if process.returncode == 0:  # it was faster: begin again
            shutil.rmtree(tmp_path / "killed")
    assert run_python(*command, tmp_path / "killed").returncode == 0
    found, expected = (read_results(tmp_path / name) for name in ("killed", "whole"))
    timed = ("scores.json", "sequences.jsonl")
    assert found.keys() == expected.keys()
    assert all(found[name] == content for name, content in expected.items() if name not in timed)


def test_render_killed_at_random_moments_leaves_old_new_or_none(tmp_path, clips):
    track_line = ("track", str(clips / "a"), "--mask", str(clips / "a.png"), "--write", "masks")
    assert run_python("-m", "aotlab", *track_line, "--output", tmp_path / "tracked").returncode == 0
    command, random, killed = ("-m", "aotlab", "render", "--write", "overlay,coco,objects"), Random(0), 0
    shutil.copytree(tmp_path / "tracked", tmp_path / "whole")
    start = time.monotonic()
    assert run_python(*command, tmp_path / "whole").returncode == 0
    seconds, expected = time.monotonic() - start, read_results(tmp_path / "whole")
    shutil.copytree(tmp_path / "tracked", tmp_path / "killed")
    while killed < KILLS:
        process = start_python(*command, tmp_path / "killed")
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=random.uniform(0.3, 1) * seconds)
        killed += process.poll() is None
        process.kill()
        process.communicate()
        stored = Results.read(tmp_path / "killed")
        found = read_results(tmp_path / "killed")
        named = {*stored.expand(file for files in stored.outputs.values() for file in files)}
        assert all(found[name] == expected[name] for name in named)
    assert run_python(*command, "--missing", tmp_path / "killed").returncode == 0
    found = read_results(tmp_path / "killed")
    assert found.keys() == expected.keys()
    assert all(found[name] == content for name, content in expected.items() if not name.endswith(".json"))
