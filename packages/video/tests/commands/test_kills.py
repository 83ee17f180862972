"""Commands killed between two files and at random moments, and run again: equal results, no temporary files."""

import shutil

import pytest

from aotlab.media.masks import write_mask
from aotlab_testing.drawn_clips import draw_moving_clip, stems_from, write_frames
from aotlab_testing.files import read_results
from aotlab_testing.kills import kill_at_random_moments, run_killed_between_files, run_until_file, time_run
from aotlab_video.runs import loop
from aotlab_video.runs.store import Results

pytestmark = pytest.mark.slow


@pytest.fixture
def clips(tmp_path):
    for name in "abc":
        clip = draw_moving_clip(stems_from(0, 8), seed=ord(name))
        write_frames(tmp_path / "clips" / name, clip)
        write_mask(tmp_path / "clips" / f"{name}.png", clip.labels[0])
    return tmp_path / "clips"


def save_each_frame(*arguments):
    """Run a command with a state of the tracker after each frame."""
    loop.SAVE_SECONDS = 0.0
    run_until_file(*arguments)


@pytest.mark.parametrize(("line", "count"), [("clips/a --mask clips/a.png", 18), ("--jobs clips", 55)])
def test_killed_video_or_list_is_the_same(tmp_path, clips, line, count):
    words = (*line.replace("clips", str(clips)).split(), "--write", "masks,overlay,objects,coco")
    run_killed_between_files("aotlab_video.commands.track", tmp_path, *words, run=save_each_frame)
    expected, killed = (read_results(tmp_path / name) for name in ("undisturbed", "killed"))
    assert len(expected) >= count
    assert killed == expected


@pytest.mark.parametrize("line", ["clips/a --mask clips/a.png", "--jobs clips"])
def test_run_killed_at_random_moments_is_the_same(tmp_path, clips, line):
    """Kills by the system at any moment of the run; the last run resumes from what the others have stored."""
    words = ("track", *line.replace("clips", str(clips)).split(), "--write", "masks,soft", "--output")
    seconds = time_run(*words, tmp_path / "whole")
    for _ in kill_at_random_moments(seconds, *words, tmp_path / "killed", restart=tmp_path / "killed"):
        pass
    time_run(*words, tmp_path / "killed")
    found, expected = (read_results(tmp_path / name) for name in ("killed", "whole"))
    assert found == expected


def test_render_killed_at_random_moments_leaves_old_new_or_none(tmp_path, clips):
    time_run("track", clips / "a", "--mask", clips / "a.png", "--write", "masks", "--output", tmp_path / "tracked")
    shutil.copytree(tmp_path / "tracked", tmp_path / "whole")
    command = ("render", "--write", "overlay,coco,objects")
    seconds = time_run(*command, tmp_path / "whole")
    expected = read_results(tmp_path / "whole")
    shutil.copytree(tmp_path / "tracked", tmp_path / "killed")
    for _ in kill_at_random_moments(seconds, *command, tmp_path / "killed"):
        stored, found = Results.read(tmp_path / "killed"), read_results(tmp_path / "killed")
        named = {*stored.expand(file for files in stored.outputs.values() for file in files)}
        assert all(found[name] == expected[name] for name in named)
    time_run(*command, "--missing", tmp_path / "killed")
    found = read_results(tmp_path / "killed")
    assert found.keys() == expected.keys()
    assert all(found[name] == content for name, content in expected.items() if not name.endswith(".json"))
