"""The rules of SA-V on folders of objects that overlap."""

import shutil

import numpy as np
import pytest

from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.object_masks import read_labels
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.metrics import crop_to_objects, measure_region_and_contour
from aotlab.evaluation.tables import make_scores_table
from aotlab.media.masks import read_mask, write_mask
from aotlab.tools.submit import main as submit
from aotlab.utils.errors import InputError
from aotlab_testing import miniatures
from aotlab_testing.miniatures import open_dataset
from tests.evaluation.scoring import score_sequence

SAV = find_benchmark("sav")


@pytest.fixture
def videos(tmp_path):
    miniatures.make_sav(tmp_path)
    return open_dataset("sav", tmp_path)


def draw(folder, frames):
    """Masks of an object, 100×150: squares at these columns in each frame; None: no mask."""
    for index, columns in enumerate(frames):
        if columns is None:
            continue
        mask = np.zeros((100, 150), dtype=np.uint8)
        for column in columns:
            mask[40:60, column : column + 20] = 255
        write_mask(folder / f"{4 * index:05d}.png", mask)
    return folder


def test_24_fps_are_tracked_and_masked_frames_written(videos):
    first, second = videos
    assert (len(first.frames), first.written_stems) == (17, ("00000", "00004", "00008", "00012", "00016"))
    assert sorted(first.reference_masks) == [0]
    assert sorted(second.reference_masks) == [0, 8]  # the second object comes later
    assert second.new_ids(8) == {2}
    assert first.object_folders[1].name == "000"


def test_smaller_object_is_on_top_of_overlap(videos):
    labels = read_labels(videos[0].reference_masks[0])
    small = read_mask(videos[0].object_folders[2] / "00000.png") > 0
    whole = read_mask(videos[0].object_folders[1] / "00000.png") > 0
    np.testing.assert_array_equal(labels[small], 2)
    np.testing.assert_array_equal(labels[whole & ~small], 1)


def test_objects_that_overlap_are_scored_each_by_itself(videos, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(videos[0].object_folders[1].parent, results)
    write_mask(results / "00004.png", np.zeros((4, 4)))  # not read, as there are folders of objects
    scores = score_sequence(SAV.plan(videos[0]), results)
    assert scores.frames == ("00004", "00008", "00012")
    np.testing.assert_array_equal(scores.values, 1)


def test_results_as_ids_are_scored(videos, tmp_path):
    labels = miniatures.separate_labels(videos[0])
    for stem, ids in labels.items():
        write_mask(tmp_path / "ids" / f"{stem}.png", ids)
    scores = score_sequence(SAV.plan(videos[0]), tmp_path / "ids")
    whole, small = (read_mask(videos[0].object_folders[object_id] / "00004.png") > 0 for object_id in (1, 2))
    expected = measure_region_and_contour(*crop_to_objects(whole, whole & ~small), whole.shape)
    assert scores.values[:, :, 0].T.tolist() == [list(expected), [1, 1]]


def score_drawn(folder, truth, results):
    """Scores of two objects, drawn from the columns of their squares in each frame."""
    folders = {number: draw(folder / "truth" / f"00{number - 1}", frames) for number, frames in enumerate(truth, 1)}
    for number, frames in enumerate(results):
        draw(folder / "results" / f"00{number}", frames)
    return score_sequence(SAV.plan(Video("a", (), object_folders=folders)), folder / "results")


def test_frames_count_from_the_first_pixel(tmp_path):
    truth = [[5], [], [], [10], [], [20], [5]], [[5], [], [], [], [], [], [9]]  # nothing in between: left out
    results = [[5], [], [99], [10], [], [21], [5]], [[5], [5], [], [], [], [], [9]]
    scores = score_drawn(tmp_path, truth, results)
    assert scores.ids == (1,)
    assert np.isnan(scores.region[0, 0])
    assert scores.region[0, 1:].tolist() == [0, 1, 1, 19 / 21]


def test_ends_of_each_object_do_not_count(tmp_path):
    truth = [[5]] * 7, [None, *[[50]] * 5]  # the second is annotated on frames 4 to 20, so 8 to 16 count
    scores = score_drawn(tmp_path, truth, ([[5]] * 7, [[52]] * 7))
    assert scores.frames == ("00004", "00008", "00012", "00016", "00020")
    assert np.isnan(scores.region).tolist() == [[False] * 5, [True, False, False, False, True]]


@pytest.fixture
def submission(videos, tmp_path):
    """Words of a command that writes results as ids to the folder ``tree``."""
    for video in videos:
        for stem, ids in miniatures.separate_labels(video).items():
            write_mask(tmp_path / "ids" / video.name / f"{stem}.png", ids)
    results = ("--results", tmp_path / "ids", "--output", tmp_path / "tree")
    return [*map(str, ("--dataset", "sav", "--root", tmp_path, *results))]


def test_results_become_folders_of_objects(videos, tmp_path, submission):
    assert submit(submission) == 0
    tree, annotated = tmp_path / "tree", tmp_path / "sav_val" / "Annotations_6fps"
    files = {path.relative_to(tree) for path in tree.rglob("*.png")}
    assert files == {path.relative_to(annotated) for path in annotated.rglob("*.png")}
    assert {int(read_mask(tree / file).max()) for file in files} <= {0, 1}
    plan = SAV.plan(videos[0])
    found, expected = (score_sequence(plan, tmp_path / kind / videos[0].name) for kind in ("ids", "tree"))
    np.testing.assert_array_equal(found.region, expected.region)


def test_only_the_folder_of_a_submission_is_replaced(tmp_path, submission, run_expecting_error):
    assert submit(submission) == 0
    assert "tree: already contains files; choose" in run_expecting_error(submit, *submission)
    next((tmp_path / "tree").rglob("*.png")).unlink()
    assert submit([*submission, "--force"]) == 0
    (tmp_path / "tree" / "notes.txt").touch()
    line = run_expecting_error(submit, *submission, "--force")
    assert "already contains notes.txt, which is not of a submission" in line
    annotated = tmp_path / "sav_val" / "Annotations_6fps"
    line = run_expecting_error(submit, *submission[:-1], annotated, "--force")
    assert f"{annotated}: the folder of the annotations" in line


def test_new_submission_replaces_all_of_the_earlier_one(videos, tmp_path, submission):
    assert submit(submission) == 0
    tree = tmp_path / "tree"
    masks = {path: path.read_bytes() for path in tree.rglob("*.png")}
    broken = next((tmp_path / "ids" / videos[1].name).glob("*.png"))
    content = broken.read_bytes()
    broken.write_bytes(b"no mask")
    assert submit([*submission, "--force"]) == 2
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == masks
    broken.write_bytes(content)
    (tmp_path / "sav_val" / "sav_val.txt").write_text(videos[0].name)
    assert submit([*submission, "--force"]) == 0
    assert [path.name for path in tree.iterdir()] == [videos[0].name]


def test_unknown_id_of_a_result_rejected(tmp_path, submission, run_expecting_error):
    path = next((tmp_path / "ids").rglob("*.png"))
    write_mask(path, np.full_like(read_mask(path), 77))
    assert f"{path}: unknown ids 77; the objects are " in run_expecting_error(submit, *submission)


def test_object_without_pixels_is_written_empty(videos, tmp_path):
    first = videos[0].object_folders[1]
    for path in first.glob("*.png"):
        write_mask(first.with_name("002") / path.name, np.zeros_like(read_mask(path)))
    video = open_dataset("sav", tmp_path)[0]
    assert [item.object_id for item in video.objects] == [1, 2]
    assert video.result_files("00004") == ("000/00004.png", "001/00004.png", "002/00004.png")
    results = tmp_path / "results"
    shutil.copytree(first.parent, results)
    table = make_scores_table(SAV, {video.name: score_sequence(SAV.plan(video), results)})
    assert list(table["sequences"][video.name]["objects"]) == ["000", "001"]  # named like their folders
    for stem in video.written_stems:
        ids = np.resize(np.arange(5, dtype=np.uint8), read_mask(first / f"{stem}.png").shape)
        write_mask(tmp_path / "ids" / f"{stem}.png", ids)
    assert score_sequence(SAV.plan(video), tmp_path / "ids").unknown_ids == {4}


def test_missing_result_is_reported_in_one_sentence(videos, tmp_path):
    shutil.copytree(videos[0].object_folders[1].parent, tmp_path / "results")
    (tmp_path / "results" / "001" / "00008.png").unlink()
    with pytest.raises(InputError, match=r"00008\.png: no such file; expected 6 palette PNGs for the scored"):
        score_sequence(SAV.plan(videos[0]), tmp_path / "results")
