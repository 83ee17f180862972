"""The ``ensemble`` command: weighted votes over saved results."""

import shutil

import numpy as np
import pytest

from aotlab.evaluation.voting import vote
from aotlab.media.masks import VOID, read_mask, write_mask
from aotlab.tools.ensemble import main
from aotlab_testing.tracked import write_tracked


def vote_by_hand(maps, weights):
    """The same for one pixel after another."""
    winner = np.zeros_like(maps[0])
    for place in np.ndindex(winner.shape):
        votes: dict[int, int] = {}
        for labels, weight in zip(maps, weights, strict=True):
            votes[labels[place]] = votes.get(labels[place], 0) + weight
        winner[place] = max(votes, key=votes.__getitem__)  # the first one if equal
    return winner


@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [3, 1, 1, 2], [1, 2, 2, 1]])
def test_vote_equals_counting(weights):
    maps = list(np.random.default_rng(0).integers(0, 4, (4, 16, 16), dtype=np.uint8))
    np.testing.assert_array_equal(vote(maps, weights), vote_by_hand(maps, weights))


@pytest.fixture
def folders(tmp_path):
    """Three sets of results for two sequences; in each pixel the third disagrees with the first two."""
    for number, value in enumerate((1, 1, 2)):
        for name in ("a", "b"):
            for stem in ("00000", "00001"):
                write_mask(tmp_path / f"{number}" / name / f"{stem}.png", np.full((4, 6), value, np.uint8))
    return [str(tmp_path / str(number)) for number in range(3)]


@pytest.mark.parametrize(("args", "winner"), [
    ([], 1), (["--weights", "1,1,3"], 2),
    (["--weights", "0.1,0.2,0.3"], 1),  # in floats 0.1 + 0.2 is above 0.3, and 0.3 in the other order below
    (["--weights", "0.3,0.1,0.4"], 1), (["--weights", "1,1,2.01"], 2), (["--weights", ".5,0.25,.7"], 1),
])  # fmt: skip
def test_weights_decide_exactly(folders, tmp_path, args, winner):
    assert main([*folders, "--output", str(tmp_path / "out"), *args]) == 0
    found = sorted((tmp_path / "out").rglob("*.png"))
    assert len(found) == 4
    assert {int(value) for path in found for value in np.unique(read_mask(path))} == {winner}


@pytest.mark.parametrize("folder", ["0", "1"])
def test_only_the_sequence_with_other_frames_fails(folders, tmp_path, capsys, folder):
    (tmp_path / folder / "a" / "00001.png").unlink()
    assert main([*folders, "--output", str(tmp_path / "out")]) == 1
    assert "error: a: " in capsys.readouterr().err
    assert [path.parent.name for path in (tmp_path / "out").rglob("*.png")] == ["b", "b"]


def test_failed_votes_are_reported_alone(folders, tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / "1" / name / "00001.png").unlink()
    assert main([*folders, "--output", str(tmp_path / "out")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{tmp_path}/1/b: frame 00001 is missing here or in {tmp_path}/0/b; vote on results" in err


def test_folder_of_a_run_is_never_replaced(folders, tmp_path, run_expecting_error):
    write_tracked(tmp_path / "run")
    write_tracked(tmp_path / "list" / "a")
    for name, words in (("run", "results of a video"), ("list", "a, which aotlab did not write")):
        line = run_expecting_error(main, *folders, "--output", tmp_path / name, "--force")
        assert f"{name}: already contains {words}; choose another output" in line


def test_other_vote_is_refused_or_replaced_as_a_whole(folders, tmp_path, run_expecting_error, capsys):
    line = [*folders, "--output", str(tmp_path / "out")]
    assert main(line) == main(line) == 0
    assert (
        "already contains results of a different run (weights: [1.0, 1.0, 1.0] before, [2.0, 1.0, 1.0] now"
        in run_expecting_error(main, *line, "--weights", "2,1,1")
    )
    for folder in folders:
        shutil.rmtree(tmp_path / folder / "b")
    assert "run (other results); choose" in run_expecting_error(main, *line)
    assert main([*line, "--force"]) == 0
    assert not (tmp_path / "out" / "b").exists()


def test_masks_of_16_bits_keep_them(tmp_path):
    folders = [str(tmp_path / name) for name in ("first", "second")]
    for folder in folders:
        write_mask(f"{folder}/a/00000.png", np.ones((4, 6), np.uint8), max_id=300)
    assert main([*folders, "--output", str(tmp_path / "out")]) == 0
    assert read_mask(tmp_path / "out" / "a" / "00000.png").dtype == np.uint16
    write_mask(f"{folders[0]}/a/00000.png", np.full((4, 6), VOID, np.uint8))
    assert main([*folders, "--output", str(tmp_path / "out"), "--force"]) == 0
    assert not read_mask(tmp_path / "out" / "a" / "00000.png").any()


def test_results_of_tracked_videos_are_voted_on_without_prompts(folders, tmp_path):
    for number in (1, 2):
        for name in ("a", "b"):
            job = tmp_path / str(number) / name
            job.rename(tmp_path / "masks")
            job.mkdir()
            (tmp_path / "masks").rename(job / "masks")
            write_mask(job / "prompt_masks" / "00000.png", np.ones((4, 6), np.uint8))
            write_tracked(job)
    assert main([*folders, "--output", str(tmp_path / "out")]) == 0
    assert sorted((path.parent.name, path.stem) for path in (tmp_path / "out").rglob("*.png")) == [
        (name, stem) for name in ("a", "b") for stem in ("00000", "00001")
    ]
    jobs = [str(tmp_path / number / "a") for number in ("1", "2")]
    assert main([*jobs, "--output", str(tmp_path / "one")]) == 0
    assert {path.parent.name for path in (tmp_path / "one").rglob("*.png")} == {"masks"}


def test_results_of_separate_objects_are_voted_on(tmp_path):
    for number, value in enumerate((1, 0, 1)):
        for folder in ("000", "001"):
            write_mask(tmp_path / f"{number}" / "a" / folder / "00000.png", np.full((4, 6), value, np.uint8))
    folders = [str(tmp_path / str(number)) for number in range(3)]
    assert main([*folders, "--output", str(tmp_path / "out")]) == 0
    assert [int(read_mask(path).min()) for path in (tmp_path / "out").rglob("*.png")] == [1, 1]
