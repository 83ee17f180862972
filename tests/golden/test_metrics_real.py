"""Perturbed real annotations against the public DAVIS evaluator, from files to tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.engine.benchmark.scoring import score_videos
from aotlab.evaluation.davis import read_object_ids
from aotlab.evaluation.tables import make_scores_table
from aotlab.media.masks import read_mask, write_mask
from tests.golden.tables import ROUNDING, assert_row
from tests.shared import SHARED, golden_arrays, golden_table, needs_data

pytestmark = needs_data


def shift3(truth: np.ndarray) -> np.ndarray:
    """3 px down and right; T×H×W ids."""
    moved = np.zeros_like(truth)
    moved[:, 3:, 3:] = truth[:, :-3, :-3]
    return moved


def dilate2(truth: np.ndarray) -> np.ndarray:
    """Every object grown by 2 px; later ids overwrite."""
    grown = np.zeros_like(truth)
    for labels, found in zip(truth, grown, strict=True):
        for object_id in range(1, int(truth[0].max()) + 1):
            mask = labels == object_id
            if mask.any():
                found[binary_dilation(mask, structure=np.ones((3, 3)), iterations=2)] = object_id
    return grown


def without_last(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The last object taken out of the last third."""
    tail = labels[-(-2 * len(labels) // 3) :]
    tail[tail == truth[0].max()] = 0
    return labels


def mixed(truth: np.ndarray) -> np.ndarray:
    """Even frames moved, odd ones grown, the last object taken out of the last third."""
    labels = shift3(truth)
    labels[1::2] = dilate2(truth)[1::2]
    return without_last(labels, truth)


METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "shift3": shift3,
    "dilate2": dilate2,
    "droplast": lambda truth: without_last(truth.copy(), truth),
    "mixed": mixed,
}
"""the perturbations of the reference numbers' README"""


@pytest.mark.slow  # VISOR's table in test_metrics.py has the same statistics of J and F
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("benchmark", ["davis2017", "davis2016"])
def test_perturbed_annotations_score_as_in_the_reference(benchmark: str, method: str, tmp_path: Path) -> None:
    wanted = golden_table("metrics/real")[benchmark][method]
    videos = open_dataset(benchmark, SHARED / "data" / "DAVIS")
    assert {video.name for video in videos} == set(wanted["sequences"])
    for video in videos:
        labels = [read_object_ids(read_mask(path), merge_ids=video.merge_ids) for path in video.annotations]
        prediction = METHODS[method](np.stack(labels))
        assert hashlib.sha256(prediction.tobytes()).hexdigest() == wanted["prediction_sha256"][video.name]
        for path, frame in zip(video.annotations, prediction, strict=True):
            write_mask(tmp_path / video.name / path.name, frame)
    report = score_videos(videos, tmp_path)
    assert report.failures == {}
    per_frame = golden_arrays("metrics/real_per_frame")
    for name, scores in report.scores.items():
        np.testing.assert_array_equal(scores.region, per_frame[f"{benchmark}/{method}/{name}/J"])
        contour = per_frame[f"{benchmark}/{method}/{name}/F"]
        np.testing.assert_allclose(scores.values[1], contour, rtol=0, atol=ROUNDING)
    table = make_scores_table(report.scores)
    rows = {"": table}
    for name, sequence in table["sequences"].items():
        rows |= {f"{name}_{object_id}": row for object_id, row in sequence["objects"].items()}
    for key, row in {"": wanted["global"], **wanted["per_object"]}.items():
        assert_row(rows[key], row)
