"""Tables of the benchmarks, compared with the public evaluators on data sets on disk."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aotlab.dataloaders.labeled_video import Video
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.label_scores import score_labels
from aotlab.evaluation.scoring import score_videos
from aotlab.evaluation.tables import make_scores_table
from aotlab_testing.drawn_clips import Clip, stems_from, write_davis, write_labels, write_list, write_masks, write_split
from aotlab_testing.miniatures import open_dataset
from tests.evaluation.scoring import score_sequence
from tests.golden.references import golden_arrays, golden_table

ROUNDING = 1e-12
"""Integer counts, then float64 divisions and sums in another order."""
SEQUENCES = ("three_objects", "missing_ids", "vanishing", "void_and_late_object", "id_gap_short", "one_evaluated_frame")
"""Synthetic sequences, scored as DAVIS is."""
References = tuple[dict[str, dict[str, np.ndarray]], dict]
"""benchmark/video to T×H×W ids of truth and prediction; the tables."""


def find_column(name: str) -> str:
    """Return our name for an evaluator's column, such as J-Recall for J_recall, and J_seen for J-seen-Mean."""
    measure, statistic = re.fullmatch(r"(.+?)(?:[-_](mean|recall|decay))?", name, re.IGNORECASE).groups()
    column = measure.replace("-", "_").replace("J_last", "J_tr")
    return column if statistic in (None, "mean", "Mean") else f"{column}-{statistic.capitalize()}"


def assert_row(found: dict, expected: dict[str, float]) -> None:
    """Compare a row in percent with an evaluator's."""
    assert expected
    for name, value in expected.items():
        if value is not None and name != "n_frames":
            assert found[find_column(name)] == pytest.approx(100 * value, abs=100 * ROUNDING), name


@pytest.fixture(scope="module")
def references() -> References:
    videos: dict[str, dict[str, np.ndarray]] = {}
    for key, array in golden_arrays("metrics/benchmarks").items():
        benchmark, name, kind = key.split("/")
        videos.setdefault(f"{benchmark}/{kind}", {})[name] = array
    return videos, golden_table("metrics/benchmarks")


def write_predictions(
    references: References, benchmark: str, results: Path, stems: Callable[[str, int], Sequence[str]]
) -> dict[str, Clip]:
    """Write a benchmark's predictions; return the clips of its truth, with empty images."""
    truth, predictions = (
        {
            name: Clip(tuple(stems(name, len(labels))), np.zeros((*labels.shape, 3), np.uint8), labels)
            for name, labels in references[0][f"{benchmark}/{kind}"].items()
        }
        for kind in ("gt", "pred")
    )
    for name, clip in predictions.items():
        write_labels(results / name, clip)
    return truth


def score_table(name: str, videos: list[Video], results: Path) -> dict:
    benchmark = find_benchmark(name)
    report = score_videos(benchmark, videos, results)
    assert report.failures == {}
    return make_scores_table(benchmark, report.scores)


def assert_objects(table: dict, expected: dict[str, dict]) -> None:
    rows = {
        f"{name}_{place}": row
        for name, sequence in table["sequences"].items()
        for place, row in enumerate(sequence["objects"].values(), start=1)
    }
    assert rows.keys() == expected.keys()
    for key, row in rows.items():
        assert_row(row, expected[key])


def test_vost_table_equals_reference(references: References, tmp_path: Path) -> None:
    expected = references[1]["vost"]
    truth = write_predictions(references, "vost", tmp_path / "results", lambda name, _: expected["frames"][name])
    write_split(tmp_path / "VOST", truth)
    write_list(tmp_path / "VOST" / "ImageSets" / "val.txt", truth)
    table = score_table("vost", open_dataset("vost", tmp_path / "VOST"), tmp_path / "results")
    assert_row(table, expected["global"])
    assert_objects(table, expected["per_object"])


def test_visor_table_equals_reference(references: References, tmp_path: Path) -> None:
    def stems(name: str, count: int) -> list[str]:
        return stems_from(140, count, 60, f"{name[:-10]}_frame_{{:010d}}")

    expected = references[1]["visor"]
    truth = write_predictions(references, "visor", tmp_path / "results", stems)
    write_davis(tmp_path / "VISOR", truth, "2022", "val")
    write_list(tmp_path / "VISOR" / "ImageSets" / "2022" / "val_unseen.txt", ["P07_110_seq_00009"])
    table = score_table("visor", open_dataset("visor", tmp_path / "VISOR"), tmp_path / "results")
    assert_row(table, expected["global"])
    assert_objects(table, expected["per_object"])
    assert table["J_unseen"] == table["sequences"]["P07_110_seq_00009"]["J"]


def test_youtube_vos_table_equals_reference(references: References, tmp_path: Path) -> None:
    expected = references[1]["ytvos"]
    root = tmp_path / "YouTubeVOS"
    frames = expected["annotated_frames"]
    write_split(
        root / "train", write_predictions(references, "ytvos", tmp_path / "results", lambda name, _: frames[name])
    )
    (root / "train" / "meta.json").write_text(json.dumps(expected["meta"]))
    write_list(root / "seen_categories.txt", expected["seen_categories"])
    table = score_table("youtubevos2019", open_dataset("youtubevos2019", root, "train"), tmp_path / "results")
    assert_row(table, expected["global"]["exclusive"])
    for key, row in expected["per_object"].items():
        name, object_id = key.split("/")
        assert_row(table["sequences"][name]["objects"][object_id], row["exclusive"])


def test_lvos_table_equals_reference(references: References, tmp_path: Path) -> None:
    expected = references[1]["lvos"]
    folder = tmp_path / "LVOS" / "valid"
    truth = write_predictions(
        references, "lvos", tmp_path / "results", lambda _, count: stems_from(1, count, 5, "{:08d}")
    )
    write_split(folder, truth)
    (folder / "valid_meta.json").write_text(json.dumps(expected["valid_meta"]))
    write_list(folder / "unseen_videos.txt", expected["unseen_videos"])
    videos = open_dataset("lvosv2", tmp_path / "LVOS")
    table = score_table("lvosv2", videos, tmp_path / "results")
    assert_row(table, expected["global"])
    assert_objects(table, expected["per_object"])
    (item,) = videos[1].objects
    longer = replace(videos[1], objects=(replace(item, num_frames=item.num_frames + 2),))
    # 6 listed frames after the first, all right, of 7 stated: the first and the one stated as the last are out
    scores = score_sequence(find_benchmark("lvosv2").plan(longer), folder / "Annotations" / videos[1].name)
    assert scores.region.tolist() == [[1, 1, 1, 1, 1, 1, 0]]


@pytest.fixture(scope="module")
def synthetic() -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and tables of the synthetic sequences."""
    return golden_arrays("metrics/sequences"), golden_table("metrics/sequences")


@pytest.mark.parametrize("name", [*SEQUENCES, "long"])
def test_per_frame_scores_equal_reference(synthetic: tuple, name: str) -> None:
    arrays, _ = synthetic
    scores = score_labels(arrays[f"{name}/gt"], arrays[f"{name}/pred"])
    np.testing.assert_array_equal(scores.region, arrays[f"{name}/J"])
    np.testing.assert_allclose(scores.values[1], arrays[f"{name}/F"], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(("key", "names"), [
    ("davis2017_semi_supervised", SEQUENCES), ("long", ["long"]),
])  # fmt: skip
def test_davis_table_equals_reference(synthetic: tuple, key: str, names: Sequence[str]) -> None:
    """The long sequence has a meaningful decay."""
    arrays, expected = synthetic[0], synthetic[1][key]
    scores = {name: score_labels(arrays[f"{name}/gt"], arrays[f"{name}/pred"]) for name in names}
    table = make_scores_table(find_benchmark("davis2017"), scores)
    if key != "long":
        assert_row(table, expected["global"])
    assert_objects(table, expected["per_object"])


def test_table_of_merged_objects_equals_reference(synthetic: tuple, tmp_path: Path) -> None:
    arrays, expected = synthetic[0], synthetic[1]["davis2016_merged"]
    videos = []
    for name in SEQUENCES:
        truth = write_masks(tmp_path / "truth" / name, arrays[f"{name}/gt"])
        write_masks(tmp_path / "results" / name, arrays[f"{name}/pred"])
        videos.append(Video(name, (), annotations=tuple(truth.iterdir()), merge_ids=True))
    table = score_table("davis2016", videos, tmp_path / "results")
    assert_row(table, expected["global"])
    for name, row in expected["per_sequence"].items():
        assert_row(table["sequences"][name], row)
