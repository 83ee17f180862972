"""The benchmarks' tables against the public evaluators: data sets on disk, read and scored as a user does it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.engine.benchmark.scoring import find_rules, score_videos
from aotlab.evaluation.rules import RULES
from aotlab.evaluation.tables import make_scores_table
from aotlab.media.labeled_video import Video
from tests.drawn_clips import Clip, lay_out_davis, lay_out_split, stems_from, write_labels, write_list
from tests.evaluation.scoring import score_sequence
from tests.shared import golden_arrays, golden_table

# integer counts, then float64 divisions and sums in another order; in percent
ROUNDING = 100 * 1e-12

Golden = tuple[dict[str, dict[str, np.ndarray]], dict]
"""benchmark/video to T×H×W ids of truth and prediction; the tables"""


@pytest.fixture(scope="module")
def golden() -> Golden:
    videos: dict[str, dict[str, np.ndarray]] = {}
    for key, array in golden_arrays("metrics/benchmarks").items():
        benchmark, name, kind = key.split("/")
        videos.setdefault(f"{benchmark}/{kind}", {})[name] = array
    return videos, golden_table("metrics/benchmarks")


def write_predictions(
    golden: Golden, benchmark: str, results: Path, stems: Callable[[str, int], Sequence[str]]
) -> dict[str, Clip]:
    """Write a benchmark's predictions; return the clips of its truth, with empty images."""
    truth, predictions = (
        {
            name: Clip(tuple(stems(name, len(labels))), np.zeros((*labels.shape, 3), np.uint8), labels)
            for name, labels in golden[0][f"{benchmark}/{kind}"].items()
        }
        for kind in ("gt", "pred")
    )
    for name, clip in predictions.items():
        write_labels(results / name, clip)
    return truth


def score_table(videos: list[Video], results: Path) -> dict:
    report = score_videos(videos, results)
    assert report.failures == {}
    return make_scores_table(report.scores, find_rules(videos).table)


def assert_row(found: dict, wanted: dict[str, float], names: dict[str, str]) -> None:
    """Compare a row in percent with fractions under the evaluator's names."""
    assert wanted
    for theirs, ours in names.items():
        assert found[ours] == pytest.approx(100 * wanted[theirs], abs=ROUNDING), theirs


def assert_objects(table: dict, wanted: dict[str, dict], names: dict[str, str]) -> None:
    rows = {
        f"{name}_{place}": row
        for name, sequence in table["sequences"].items()
        for place, row in enumerate(sequence["objects"].values(), start=1)
    }
    assert rows.keys() == wanted.keys()
    for key, row in rows.items():
        assert_row(row, wanted[key], names)


def test_vost_table_equals_reference(golden: Golden, tmp_path: Path) -> None:
    wanted = golden[1]["vost"]
    truth = write_predictions(golden, "vost", tmp_path / "results", lambda name, _: wanted["frames"][name])
    lay_out_split(tmp_path / "VOST", truth)
    write_list(tmp_path / "VOST" / "ImageSets" / "val.txt", truth)
    table = score_table(open_dataset("vost", tmp_path / "VOST"), tmp_path / "results")
    assert_row(table, wanted["global"], {
        "J-Mean": "J", "J-Recall": "J-Recall", "J-Decay": "J-Decay",
        "J_last-Mean": "J_tr", "J_last-Recall": "J_tr-Recall", "J_last-Decay": "J_tr-Decay",
    })  # fmt: skip
    assert_objects(table, wanted["per_object"], {
        "J": "J", "J_recall": "J-Recall", "J_decay": "J-Decay",
        "J_tr": "J_tr", "J_tr_recall": "J_tr-Recall", "J_tr_decay": "J_tr-Decay",
    })  # fmt: skip


def test_visor_table_equals_reference(golden: Golden, tmp_path: Path) -> None:
    def stems(name: str, count: int) -> list[str]:
        return stems_from(140, count, 60, f"{name[:-10]}_frame_{{:010d}}")

    wanted = golden[1]["visor"]
    truth = write_predictions(golden, "visor", tmp_path / "results", stems)
    lay_out_davis(tmp_path / "VISOR", truth, "2022", "val")
    write_list(tmp_path / "VISOR" / "ImageSets" / "2022" / "val_unseen.txt", ["P07_110_seq_00009"])
    table = score_table(open_dataset("visor", tmp_path / "VISOR"), tmp_path / "results")
    columns = ("J-Recall", "J-Decay", "F-Recall", "F-Decay")
    means = {"J&F-Mean": "J&F", "J-Mean": "J", "F-Mean": "F"}
    assert_row(table, wanted["global"], {**means, **{name: name for name in columns}})
    lower = {name.lower().replace("j", "J").replace("f", "F").replace("-", "_"): name for name in columns}
    assert_objects(table, wanted["per_object"], {"J_mean": "J", "F_mean": "F", **lower})
    assert table["J_unseen"] == table["sequences"]["P07_110_seq_00009"]["J"]


def test_youtube_vos_table_equals_reference(golden: Golden, tmp_path: Path) -> None:
    wanted = golden[1]["ytvos"]
    root = tmp_path / "YouTubeVOS"
    frames = wanted["annotated_frames"]
    lay_out_split(
        root / "train", write_predictions(golden, "ytvos", tmp_path / "results", lambda name, _: frames[name])
    )
    (root / "train" / "meta.json").write_text(json.dumps(wanted["meta"]))
    write_list(root / "seen_categories.txt", wanted["seen_categories"])
    table = score_table(open_dataset("youtubevos2019", root, "train"), tmp_path / "results")
    names = ("overall", "J_seen", "F_seen", "J_unseen", "F_unseen")
    assert_row(table, wanted["global"]["exclusive"], {name: name for name in names})
    for key, row in wanted["per_object"].items():
        name, object_id = key.split("/")
        assert_row(table["sequences"][name]["objects"][object_id], row["exclusive"], {"J": "J", "F": "F"})


def test_lvos_table_equals_reference(golden: Golden, tmp_path: Path) -> None:
    wanted = golden[1]["lvos"]
    folder = tmp_path / "LVOS" / "valid"
    truth = write_predictions(
        golden, "lvos", tmp_path / "results", lambda _, count: stems_from(1, count, 5, "{:08d}")
    )
    lay_out_split(folder, truth)
    (folder / "valid_meta.json").write_text(json.dumps(wanted["valid_meta"]))
    write_list(folder / "unseen_videos.txt", wanted["unseen_videos"])
    videos = open_dataset("lvosv2", tmp_path / "LVOS")
    table = score_table(videos, tmp_path / "results")
    names = {f"{column}-Mean": column for column in ("J&F", "J", "F", "V")}
    for group in ("seen", "unseen"):
        names |= {f"{column}-{group}-Mean": f"{column}_{group}" for column in "JFV"}
    assert_row(table, wanted["global"], names)
    assert_objects(table, wanted["per_object"], {column: column for column in "JFV"})
    (item,) = videos[1].objects
    longer = replace(videos[1], objects=(replace(item, length=item.length + 2),))
    # 6 listed frames after the first, all right, of 7 stated: the first and the one stated as the last are out
    scores = score_sequence(RULES["lvos"].plan(longer), folder / "Annotations" / videos[1].name)
    assert scores.region.tolist() == [[1, 1, 1, 1, 1, 1, 0]]
