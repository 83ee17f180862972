"""Many videos in one run of the track command, with a tracker that repeats the last mask."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aotlab.media.masks import read_mask
from tests.tools.track.runs import Repeater, cli, save


@pytest.fixture
def clips(tmp_path):
    """Three clips of three frames with their masks beside them."""
    for number, name in enumerate(("a", "b", "c"), start=1):
        folder = tmp_path / "clips" / name
        folder.mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (48, 32), (40, 90, 40 + index)).save(folder / f"{index:05d}.png")
        save(tmp_path / "clips" / f"{name}.png", number)
    return tmp_path / "clips"


def run(clips, *more):
    output = str(clips.parent / "out")
    return cli.main(["--jobs", str(clips), "--output", output, "--write", "masks,coco", *more])


def results(folder):
    """Bytes of all results of the jobs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent != folder and path.parent.name != ".jobs"
    }


def test_every_video_has_its_folder_and_the_run_its_reports(clips, tracker, capsys):
    out = clips.parent / "out"
    assert run(clips) == 0
    assert tracker.loads == 1
    assert [read_mask(out / name / "masks" / "00002.png").max() for name in "abc"] == [1, 2, 3]
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert [(row["name"], row["frames"]) for row in rows] == [("a", "3"), ("b", "3"), ("c", "3")]
    assert len(json.loads((out / "review.json").read_text())) == 3
    page = (out / "review.html").read_text()
    assert 'src="a/thumbnail.jpg"' in page
    assert (out / "a" / "thumbnail.jpg").is_file()
    assert "3 of 3 videos tracked" in capsys.readouterr().out


def test_a_broken_job_stops_no_other_and_is_run_again(clips, capsys):
    out = clips.parent / "out"
    good = (clips / "b" / "00001.png").read_bytes()
    (clips / "b" / "00001.png").write_bytes(b"broken")
    (clips / "c.png").write_bytes(b"no mask")
    assert run(clips) == 1
    err = capsys.readouterr().err
    assert "error: b:" in err
    assert "error: c:" in err
    assert "failed" in (out / "review.html").read_text()
    assert (out / "a" / "masks" / "00002.png").is_file()
    (clips / "b" / "00001.png").write_bytes(good)
    save(clips / "c.png", 3)
    assert run(clips) == 0
    assert len(list((out / "b" / "masks").iterdir())) == 3


def test_what_is_done_is_not_run_again_unless_its_masks_changed(clips, tracker):
    assert run(clips) == 0
    before = {path: path.stat().st_mtime_ns for path in (clips.parent / "out").glob("*/coco.json")}
    save(clips / "b.png", 4)
    assert run(clips) == 0
    after = {path: path.stat().st_mtime_ns for path in before}
    assert [path.parent.name for path in before if before[path] != after[path]] == ["b"]
    assert read_mask(clips.parent / "out" / "b" / "masks" / "00000.png").max() == 4


def test_jobs_may_have_settings_of_their_own(clips, tracker):
    path = clips / "jobs.jsonl"
    jobs = [
        {"video": name, "masks": f"{name}.png", "overrides": [f"memory.every={n}"]}
        for n, name in ((2, "a"), (3, "b"))
    ]
    path.write_text("\n".join(map(json.dumps, jobs)))
    assert cli.main(["--jobs", str(path), "--output", str(clips.parent / "out"), "--write", "masks"]) == 0
    assert tracker.loads == 2
    assert tracker.overrides == ["memory.every=3"]


def test_several_videos_on_the_command_line_have_their_masks_beside_them(clips):
    videos = [str(clips / name) for name in "ab"]
    assert cli.main([*videos, "--output", str(clips.parent / "out"), "--write", "masks"]) == 0
    assert sorted(path.parent.name for path in (clips.parent / "out").glob("*/masks")) == ["a", "b"]


@pytest.mark.parametrize("more", [["--write", "masks"], ["memory.every=9"]])
def test_another_runs_results_are_refused_or_replaced(clips, capsys, more):
    out = clips.parent / "out"
    assert run(clips) == 0
    (out / "a" / "masks" / "old.png").write_bytes(b"of another run")
    assert run(clips, *more) == 2
    assert "replace results with --force" in capsys.readouterr().err
    assert run(clips, *more, "--force") == 0
    assert not (out / "a" / "masks" / "old.png").exists()


def test_results_of_jobs_that_are_no_longer_listed_are_refused(clips, capsys):
    assert run(clips) == 0
    (clips / "c.png").unlink()
    for path in (clips / "c").iterdir():
        path.unlink()
    assert run(clips) == 2
    assert "other jobs (c" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_video_ends_the_batch_with_its_status(clips, capsys, monkeypatch, number):
    original, count = Repeater.step, iter(range(4))

    def step(self, frame, mask=None):
        if next(count, None) == 3:  # the first frame of the second video
            os.kill(os.getpid(), number)
        return original(self, frame, mask)

    with monkeypatch.context() as patch:
        patch.setattr(Repeater, "step", step)
        assert run(clips) == 128 + number
    said = capsys.readouterr()
    assert "1 of 3 videos tracked" in said.out
    assert "interrupted: run the same command again" in said.err
    assert run(clips) == 0


@pytest.mark.parametrize("more", [[], ["--force"]])
def test_videos_and_masks_are_not_replaced_by_their_results(clips, capsys, more):
    before = results(clips.parent)
    assert cli.main(["--jobs", str(clips), "--output", str(clips), *more]) == 2
    assert "would replace" in capsys.readouterr().err
    assert results(clips.parent) == before


def test_results_of_a_run_that_are_the_masks_of_the_next_are_not_removed(clips, capsys, tmp_path):
    assert run(clips) == 0
    before, jobs = results(clips.parent), tmp_path / "jobs.csv"
    jobs.write_text("name,video,masks\nd,clips/a,out/a/masks/00001.png\n")
    assert cli.main(["--jobs", str(jobs), "--output", str(tmp_path / "out"), "--force"]) == 2
    assert "of job d" in capsys.readouterr().err
    assert results(clips.parent) == before


def test_a_folder_of_other_files_is_refused(clips, capsys):
    out = clips.parent / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    assert run(clips) == 2
    assert run(clips, "--force") == 0
    assert (out / "thesis.txt").read_text() == "mine"


ALONE = """
import os, sys, torch
torch.set_num_threads(1)
from tests.tools.track.runs import Repeater, cli
from aotlab.engine import tracker as engine
if os.environ.get("AOTLAB_TEST_TRACKER") != "bundled":
    engine.Tracker = Repeater
"""
RANK = ALONE + "sys.exit(cli.main(sys.argv[1:]))"
KILLED = (
    ALONE
    + """
import random, signal, time
from pathlib import Path
import av, cv2, pycocotools.mask
import aotlab.engine.jobs.runner, aotlab.networks.weights.checkpoints, aotlab.networks.weights.zoo

rng, kills, most = random.Random(7), 0, int(sys.argv[2])
folder = Path(sys.argv[1])
def start(name):  # a fork has all modules: it starts at once
    process = os.fork()
    if process == 0:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        write = ["--write", "masks,coco,cvat,overlay"]
        os._exit(cli.main(["--jobs", str(folder / "clips"), "--output", str(folder / name), *write]))
    return process
began = time.monotonic()
assert os.waitpid(start("calm"), 0)[1] == 0
calm = time.monotonic() - began
pace = calm / len(list((folder / "calm" / ".jobs").glob("*.json")))
while True:
    process = start("killed")
    records = folder / "killed" / ".jobs"
    wanted = len(list(records.glob("*.json"))) + rng.randint(0, most)
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        if len(list(records.glob("*.json"))) > wanted:
            time.sleep(rng.uniform(0, pace))  # anywhere in a job
            os.kill(process, signal.SIGKILL)
            kills += os.waitpid(process, 0)[1] != 0
            break
        time.sleep(0.002)
    if ended[0]:
        assert ended[1] == 0
        break
print(kills, "kills;", round(calm), "s undisturbed,", round(time.monotonic() - began - calm), "s killed")
"""
)
ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("more", [["x.mp4"], ["--mask", "a.png"], ["--realtime"]])
def test_options_of_one_video_are_refused_beside_jobs(clips, capsys, more):
    assert run(clips, *more) == 2
    assert "one video" in capsys.readouterr().err


def draw_clips(folder, count):
    for number in range(count):
        (folder / f"{number:03d}").mkdir(parents=True)
        for index in range(4):
            image = np.full((32, 48, 3), (number % 256, 90, 40 + index), np.uint8)
            Image.fromarray(image).save(folder / f"{number:03d}" / f"{index:05d}.png")
        save(folder / f"{number:03d}.png", 1 + number % 3)


@pytest.mark.slow
def test_many_clips_killed_at_random_moments_are_the_same_bytes_as_undisturbed(tmp_path):
    """AOTLAB_TEST_CLIPS says how many; with AOTLAB_TEST_TRACKER=bundled the bundled model tracks them."""
    count = int(os.environ.get("AOTLAB_TEST_CLIPS", "60"))
    draw_clips(tmp_path / "clips", count)
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(min(count // 8, 30))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert int(done.stdout.split()[0]) >= 5
    assert len(results(tmp_path / "calm")) >= 7 * count
    assert results(tmp_path / "killed") == results(tmp_path / "calm")
    rows = [(tmp_path / name / "summary.csv").read_text() for name in ("calm", "killed")]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_two_ranks_share_the_jobs_and_leave_what_one_leaves(tmp_path):
    draw_clips(tmp_path / "clips", 7)
    (tmp_path / "rank.py").write_text(RANK)
    command = ["--jobs", str(tmp_path / "clips"), "--write", "masks,coco", "--output"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, runner in (("two", torchrun), ("one", [sys.executable])):
        done = subprocess.run(
            [*runner, str(tmp_path / "rank.py"), *command, str(tmp_path / name)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("7 of 7 videos tracked") == 1
    assert results(tmp_path / "two") == results(tmp_path / "one")
    rows = [(tmp_path / name / "summary.csv").read_text() for name in ("one", "two")]
    assert rows[0] == rows[1]
