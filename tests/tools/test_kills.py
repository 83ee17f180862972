"""Commands killed between two files and run again: equal results, no temporary files."""

import json
import sys
from io import StringIO

import pytest
import torch

from aotlab.jobs import run
from aotlab.media.masks import write_mask
from aotlab.tools import eval as evaluation
from aotlab.tools import track
from tests.drawn_clips import draw_moving_clip, stems_from, write_frames
from tests.miniatures import make_mose
from tests.processes import kill_at_call, survives_in_subprocess
from tests.tools.track.runs import read_results

pytestmark = pytest.mark.slow
TOOLS = {"track": track.main, "eval": evaluation.main}


def run_tool(tool, output, arguments, last_file=0):
    """Run a command; die before the file of this number is complete."""
    torch.set_num_threads(1)
    run.SAVE_SECONDS = 0.0
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
    other = {"fps": None, "made_by": None}
    assert expected_scores | other == killed_scores | other
