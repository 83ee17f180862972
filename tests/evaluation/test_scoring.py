"""Scoring folders of results, in one process and in several."""

import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aotlab.dataloaders.labeled_video import ObjectInfo, Video
from aotlab.evaluation import scoring
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.label_scores import LabelScorer
from aotlab.evaluation.scoring import score_videos
from aotlab.evaluation.tables import make_scores_table
from aotlab.media.masks import read_mask, write_mask
from aotlab_testing import miniatures
from aotlab_testing.miniatures import open_dataset
from aotlab_testing.mutations import change_json

DAVIS = find_benchmark("davis2017")


@pytest.fixture
def davis(tmp_path):
    return miniatures.make_with_results("davis2017", tmp_path)


def test_scores_do_not_depend_on_the_number_of_processes(davis, tmp_path, monkeypatch):
    started, pool = [], scoring.ProcessPoolExecutor
    monkeypatch.setattr(
        scoring, "ProcessPoolExecutor", lambda *args, **kw: started.append(args[0]) or pool(*args, **kw)
    )
    alone = score_videos(DAVIS, davis, tmp_path / "results", workers=2)
    assert started == []  # few frames take less time than starting processes
    monkeypatch.setattr(scoring, "MIN_FRAMES_PER_WORKER", 1)
    monkeypatch.setattr(scoring, "CHUNK_FRAMES", 2)  # a sequence of three frames becomes two parts
    shared = score_videos(DAVIS, davis, tmp_path / "results", workers=2)
    assert started == [2]
    assert list(alone.scores) == list(shared.scores)
    for name, scores in alone.scores.items():
        # to the last bit
        assert scores.values.tobytes() == shared.scores[name].values.tobytes()
    assert make_scores_table(DAVIS, alone.scores) == make_scores_table(DAVIS, shared.scores)


def test_tasks_of_processes_do_not_grow_with_the_video(davis, tmp_path, monkeypatch):
    sizes = []

    class Pool(ThreadPoolExecutor):
        def map(self, score, frames, chunksize):
            sizes.append(len(pickle.dumps(score)))
            return map(score, frames)

    monkeypatch.setattr(scoring, "MIN_FRAMES_PER_WORKER", 1)
    monkeypatch.setattr(scoring, "ProcessPoolExecutor", lambda workers, **options: Pool(workers))
    for repeats in (1, 10):
        video = replace(davis[0], annotations=davis[0].annotations * repeats)
        assert score_videos(DAVIS, [video], tmp_path / "results", workers=2).failures == {}
    assert sizes[0] == sizes[1]


def test_only_the_broken_sequence_fails(davis, tmp_path, monkeypatch):
    (tmp_path / "results" / "bear" / "00002.png").write_bytes(b"nonsense")
    monkeypatch.setattr(scoring, "MIN_FRAMES_PER_WORKER", 1)
    for workers in (1, 2):
        report = score_videos(DAVIS, davis, tmp_path / "results", workers=workers)
        assert list(report.scores) == ["camel"]
        assert "00002.png" in report.failures["bear"]


def test_lack_of_memory_fails_only_its_sequence(davis, tmp_path, monkeypatch):
    def fail_once(self, masks, frame, score=LabelScorer.score):
        if masks.name == "bear":
            raise MemoryError
        return score(self, masks, frame)

    monkeypatch.setattr(LabelScorer, "score", fail_once)
    report = score_videos(DAVIS, davis, tmp_path / "results")
    assert list(report.scores) == ["camel"]
    assert report.failures == {"bear": "out of memory; try aotlab score --workers 1"}


def test_objects_without_scored_frames_are_not_scored(tmp_path, caplog):
    videos = miniatures.make_with_results("lvosv2", tmp_path)
    late = {"start": "11", "end": "12", "frame_nums": "3"}  # of 3 frames, only the first is labeled
    change_json(
        tmp_path / "root" / "valid" / "valid_meta.json",
        lambda meta: meta["videos"]["d83wYdy0"]["objects"]["1"].update(frame_range=late),
    )
    report = score_videos(find_benchmark("lvosv2"), open_dataset("lvosv2", tmp_path / "root"), tmp_path / "results")
    assert list(report.scores) == [videos[0].name]
    assert "d83wYdy0: no object has a frame that is scored" in caplog.text


def test_lvos_counts_listed_frames_between_first_and_last():
    stems = ("01", "06", "11", "16")
    annotations = tuple(Path(f"{stem}.png") for stem in stems)
    # object 1 has two frames that count, of which one is not listed; object 2 has none
    objects = ObjectInfo(1, ("01", "06"), num_frames=4), ObjectInfo(2, ("11", "16"), num_frames=2)
    plan = find_benchmark("lvosv2").plan(Video("a", (), annotations=annotations, objects=objects))
    assert [(item.object_id, item.missing_frames) for item in plan.objects] == [(1, 1)]
    assert plan.frames == (Path("06.png"),)


def test_unknown_predicted_ids_are_reported(tmp_path, caplog):
    benchmark = find_benchmark("vost")
    videos = miniatures.make_with_results("vost", tmp_path)
    before = score_videos(benchmark, videos, tmp_path / "results").scores
    path = tmp_path / "results" / "1083_cut_tomato" / "frame00018.png"
    labels = read_mask(path)
    labels[0, :3] = 9, 255, 7
    write_mask(path, labels)
    with caplog.at_level(logging.WARNING):
        after = score_videos(benchmark, videos, tmp_path / "results").scores
    np.testing.assert_array_equal(before["1083_cut_tomato"].region, after["1083_cut_tomato"].region)
    assert "unknown ids in predictions count as background: 7, 9, 255" in caplog.text


def test_youtube_object_of_the_last_frame_is_not_scored(tmp_path):
    benchmark = find_benchmark("youtubevos2019")
    miniatures.make_youtubevos(tmp_path / "root")
    meta = tmp_path / "root" / "train" / "meta.json"
    meta.write_text(meta.read_text().replace('["00010", "00015", "00020", "00025"]', '["00025"]'))
    videos = miniatures.make_with_results("youtubevos2019", tmp_path, "train")
    scores = score_videos(benchmark, videos, tmp_path / "results").scores["0a1b2c3d4e"]
    assert scores.ids == (2, 5)
    assert scores.region.shape == (2, 5)


def test_late_objects_count_from_first_sight(tmp_path):
    benchmark = find_benchmark("folder", ["new_objects"])
    videos = miniatures.make_with_results("folder", tmp_path, new_objects=True)
    report = score_videos(benchmark, videos, tmp_path / "results")
    assert report.scores["first"].ids == (1, 4)
    # frames 1 to 4 are scored; object 2 is there from frame 2 on
    second = report.scores["second"]
    assert np.isnan(second.region).tolist() == [[False] * 4, [True, False, False, False]]
    # a prediction that has it earlier is wrong from there on
    path = tmp_path / "results" / "second" / "00001.png"
    labels = read_mask(path)
    labels[0, 0] = 2
    write_mask(path, labels)
    assert score_videos(benchmark, videos, tmp_path / "results").scores["second"].region[1, 0] == 0


def test_given_masks_are_not_ground_truth(davis):
    bear = davis[0]
    given = replace(bear, reference_masks=dict(enumerate(bear.annotations)))
    assert DAVIS.has_annotations(bear)
    assert DAVIS.has_annotations(given)  # as in a folder in which each mask adds an object
    assert not DAVIS.has_annotations(replace(given, objects=(ObjectInfo(1, ("00000",)),)))
    min_frames = DAVIS.min_frames
    shorter = [replace(bear, annotations=bear.annotations[:count]) for count in (min_frames - 1, min_frames)]
    assert [DAVIS.has_annotations(video) for video in shorter] == [False, True]


def test_separate_objects_are_ground_truth_if_long_enough(tmp_path):
    sav = find_benchmark("sav")
    min_frames = sav.min_frames
    videos = [
        Video("a", (), object_folders={1: tmp_path}, objects=(ObjectInfo(1, ("0",) * length),))
        for length in (min_frames - 1, min_frames)
    ]
    assert [sav.has_annotations(video) for video in videos] == [False, True]
