"""Evaluation runs with a tracker that repeats its reference mask."""

from functools import partial
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from aotlab.benchmark.evaluator import assign_by_cost, evaluate, score_finished
from aotlab.dataloaders.labeled_video import Video
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.results import BenchmarkResults
from aotlab.media.masks import read_mask, write_mask
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import draw_box
from aotlab_testing.miniatures import make, open_dataset
from aotlab_testing.repeating_tracker import RepeatingTracker

HEIGHT, WIDTH = 24, 32
square = partial(draw_box, (HEIGHT, WIDTH), (8, 16), (10, 20))


def make_video(root, name, *, frames=4, reference=None, **fields):
    """A still video on disk with a square as its object in all frames."""
    images = tuple(root / "frames" / name / f"{index:05d}.jpg" for index in range(frames))
    masks = tuple(root / "masks" / name / f"{index:05d}.png" for index in range(frames))
    images[0].parent.mkdir(parents=True)
    for image, mask in zip(images, masks, strict=True):
        Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 150)).save(image)
        write_mask(mask, square() if reference is None else reference)
    return Video(name, frames=images, reference_masks={0: masks[0]}, annotations=masks, **fields)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run_videos(videos, output, tracker=None, **options):
    return evaluate(tracker or RepeatingTracker(), videos, output, **options)


def test_ranks_share_the_frames_of_all_videos():
    costs = [1, 9, 0, 4, 4, 0]
    parts = [assign_by_cost(costs, rank, 2) for rank in range(2)]
    assert sorted(parts[0] + parts[1]) == list(range(6))
    assert [[costs[item] for item in part] for part in parts] == [[9, 0, 0], [1, 4, 4]]
    assert assign_by_cost(costs, 0, 1) == list(range(6))


def test_frame_becomes_a_palette_png_of_the_same_stem(tmp_path):
    report = run_videos([make_video(tmp_path, "a"), make_video(tmp_path, "b", frames=2)], tmp_path / "out")
    assert list(report.sequences) == ["a", "b"]
    stems = [f"a/{index:05d}.png" for index in range(4)] + ["b/00000.png", "b/00001.png"]
    assert names(tmp_path / "out") == [*stems, "results.json", "sequences.jsonl"]
    with Image.open(tmp_path / "out/a/00003.png") as image:
        assert (image.mode, image.getpalette()[3:6]) == ("P", [128, 0, 0])
    np.testing.assert_array_equal(read_mask(tmp_path / "out/a/00003.png"), square())


def test_changed_frame_is_named_and_tracked_again_by_force(tmp_path):
    videos, output = [make_video(tmp_path, "a"), make_video(tmp_path, "b")], tmp_path / "out"
    run_videos(videos, output)
    content = bytearray(videos[0].frames[1].read_bytes())
    content[len(content) // 2] ^= 1
    videos[0].frames[1].write_bytes(content)
    report = run_videos(videos, output)
    assert report.resumed == ["b"]
    assert "a: other frames, in " in report.failures["a"]
    assert report.failures["a"].endswith("choose another output, or track it again with --force")
    assert run_videos(videos, output, force=True).resumed == ["b"]
    assert run_videos(videos, output).resumed == ["a", "b"]


@pytest.mark.parametrize("change", [{"dataset": "b"}, {"split": "test"}, {"flip": True}])
def test_other_data_set_split_or_merging_is_refused(tmp_path, change):
    video, output, inputs = make_video(tmp_path, "a"), tmp_path / "out", {"dataset": "a", "split": "val"}
    run_videos([video], output, inputs=inputs)
    before = {name: (output / name).read_bytes() for name in names(output)}
    with pytest.raises(InputError, match=r"already contains results of a different run \(.* before, .* now\)"):
        run_videos([make_video(tmp_path, "b")], output, inputs=inputs | change)
    assert {name: (output / name).read_bytes() for name in names(output)} == before
    run_videos([video], output, inputs=inputs | change, force=True)
    assert BenchmarkResults.read(output).inputs == inputs | change


def test_further_sequences_are_added(tmp_path):
    output, videos = tmp_path / "out", [make_video(tmp_path, name) for name in "ab"]
    run_videos(videos[:1], output)
    assert run_videos(videos, output).resumed == ["a"]
    write_mask(output / "c" / "00000.png", square())
    with pytest.raises(InputError, match="already contains c, which aotlab did not write"):
        run_videos([make_video(tmp_path, "c")], output, force=True)


def test_tracker_is_reset_for_each_video(tmp_path):
    tracker = RepeatingTracker()
    run_videos([make_video(tmp_path, "a", frames=3), make_video(tmp_path, "b", frames=2)], tmp_path / "out", tracker)
    assert tracker.resets == 2
    assert tracker.annotated_ids == [[0, 1], None, None, [0, 1], None]


def test_video_stopped_on_its_last_frame_is_finished(tmp_path):
    stop = Event()
    tracker = RepeatingTracker(lambda _: stop.set() if len(tracker.annotated_ids) == 3 else None)
    report = run_videos([make_video(tmp_path, "a"), make_video(tmp_path, "b")], tmp_path / "out", tracker, stop=stop)
    assert (list(report.sequences), report.stopped) == (["a"], True)


def test_sequence_whose_masks_are_removed_is_not_finished(tmp_path, monkeypatch):
    videos, finish = [make_video(tmp_path, "a")], BenchmarkResults.finish_sequence

    def remove_and_finish(self, *args):
        (self.folder / "a" / "00002.png").unlink()
        return finish(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(BenchmarkResults, "finish_sequence", remove_and_finish)
        report = run_videos(videos, tmp_path / "out")
    assert "00002.png: no such file; masks were removed during the run; start it again" in report.failures["a"]
    assert run_videos(videos, tmp_path / "out").resumed == []


def test_interrupted_replacement_leaves_no_mixture(tmp_path):
    videos, output, stop = [make_video(tmp_path, name) for name in "ab"], tmp_path / "out", Event()
    run_videos(videos, output, inputs={"models": 0})
    tracker = RepeatingTracker(lambda _: stop.set() if len(tracker.annotated_ids) == 5 else None)
    run_videos(videos, output, tracker, inputs={"models": 1}, force=True, stop=stop)
    assert [entry["sequence"] for entry in BenchmarkResults.read(output).entries] == ["a"]
    assert len(names(output / "b")) < 4
    assert run_videos(videos, output, inputs={"models": 1}).resumed == ["a"]


def test_first_result_is_the_given_mask(tmp_path):
    tracker = RepeatingTracker()
    tracker.step = lambda frame, *_, **__: SimpleNamespace(labels=np.zeros(frame.shape[:2], np.int64))
    run_videos([make_video(tmp_path, "a")], tmp_path / "out", tracker)
    np.testing.assert_array_equal(read_mask(tmp_path / "out/a/00000.png"), square())
    assert not read_mask(tmp_path / "out/a/00001.png").any()


@pytest.mark.parametrize("ids", [(2, 5), (255, 255)], ids=["several ids", "0 and 255"])
def test_merged_videos_have_one_object(tmp_path, ids):
    reference = square(ids[0])
    reference[8:12, 10:20] = ids[1]
    tracker = RepeatingTracker()
    video = make_video(tmp_path, "a", reference=reference, merge_ids=True)
    report = run_videos([video], tmp_path / "out", tracker)
    assert tracker.annotated_ids[0] == [0, 1]
    np.testing.assert_array_equal(read_mask(tmp_path / "out/a/00000.png"), square())
    assert score_finished(find_benchmark("folder"), [video], report).scores["a"].region.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(("mask", "message"), [
    (np.ones((5, 6), np.uint8), "6×5, but its frame is 32×24"),
    (np.zeros((HEIGHT, WIDTH), np.uint8), "no object"),
])  # fmt: skip
def test_bad_reference_mask_fails_its_video(tmp_path, mask, message):
    video = make_video(tmp_path, "a")
    write_mask(video.reference_masks[0], mask)
    assert message in run_videos([video], tmp_path / "out").failures["a"]


def test_object_255_is_written_in_16_bits(tmp_path):
    video = make_video(tmp_path, "a")
    write_mask(video.reference_masks[0], square(255), max_id=255)
    assert run_videos([video], tmp_path / "out").sequences.keys() == {"a"}
    for path in (tmp_path / "out" / "a").iterdir():
        np.testing.assert_array_equal(read_mask(path), square(255, np.uint16), strict=True)


def test_speed_counts_the_trackers_time_without_first_frames(tmp_path, monkeypatch):
    # a clock that a step moves by a quarter of a second, a first step by a hundred
    now = [0.0]
    monkeypatch.setattr("aotlab.benchmark.run.time.perf_counter", lambda: now[0])

    def advance_clock(_):
        now[0] += 100 if tracker.labels is None else 0.25

    tracker = RepeatingTracker(advance_clock)
    report = run_videos([make_video(tmp_path, "a"), make_video(tmp_path, "b")], tmp_path / "out", tracker)
    assert (report.timed_frames, report.fps) == (6, 4.0)


def test_video_that_cannot_be_scored_joins_the_failures(tmp_path):
    videos = [make_video(tmp_path, "a"), make_video(tmp_path, "b")]
    report = run_videos(videos, tmp_path / "out")
    write_mask(videos[0].annotations[1], np.ones((5, 6), np.uint8))
    assert list(score_finished(find_benchmark("folder"), videos, report).scores) == ["b"]
    assert "6×5" in report.failures["a"]


@pytest.mark.parametrize("folder", ["frames", "masks"])
def test_data_set_is_never_overwritten(tmp_path, folder):
    video = make_video(tmp_path, "a")
    before = {path: path.read_bytes() for path in (*video.frames, *video.annotations)}
    with pytest.raises(InputError, match="part of the data set"):
        run_videos([video], tmp_path / folder)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(("name", "options", "place", "ids"), [
    ("youtubevos2019", {}, 0, [[0, 2, 5], None, [0, 3], None, None, None]),  # by the metadata
    ("folder", {"new_objects": True}, 1, [[0, 1], None, [0, 2], None, None, None]),
])  # fmt: skip
def test_objects_are_given_on_their_first_frame(tmp_path, name, options, place, ids):
    make(name, tmp_path)
    tracker = RepeatingTracker()
    run_videos([open_dataset(name, tmp_path, **options)[place]], tmp_path / "out", tracker)
    assert tracker.annotated_ids == ids


def test_frames_before_the_first_object_are_background(tmp_path):
    make("lvosv2", tmp_path)
    (video,) = open_dataset("lvosv2", tmp_path)[1:]
    run_videos([video], tmp_path / "out")
    results = [read_mask(tmp_path / "out" / video.name / f"{stem}.png") for stem in video.written_stems]
    assert [bool(labels.any()) for labels in results] == [False, False] + [True] * 5
    np.testing.assert_array_equal(results[2], read_mask(video.reference_masks[2]))


def test_only_requested_frames_are_written(tmp_path):
    make("youtubevos2019", tmp_path)
    tracker, video = RepeatingTracker(), open_dataset("youtubevos2019", tmp_path, all_frames=True)[0]
    run_videos([video], tmp_path / "out", tracker)
    assert len(tracker.annotated_ids) == len(video.frames) > len(video.written_stems)
    assert sorted(path.stem for path in (tmp_path / "out" / video.name).iterdir()) == list(video.written_stems)


def test_frame_of_another_size_is_named(tmp_path):
    video = make_video(tmp_path, "a")
    Image.new("RGB", (WIDTH + 2, HEIGHT)).save(video.frames[2])
    failure = run_videos([video], tmp_path / "out").failures["a"]
    assert failure.startswith(f"{video.frames[2]}: {WIDTH + 2}×{HEIGHT}, but the first frame has {WIDTH}×{HEIGHT}")
