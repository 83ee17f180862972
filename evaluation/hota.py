"""HOTA of BURST by TrackEval: detection (DetA) and association (AssA) accuracy.

The task is tracking from given first masks. Predicted tracks have the ids of these masks, which HOTA ignores: it
matches tracks itself. Values are means over all classes, common classes (COCO's) and uncommon classes.
Source: Athar et al. 2023, Luiten et al. 2021; computed by ``trackeval``.
"""

import contextlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.evaluation.submit.burst import write_run_lengths, write_selection

COLUMNS = ("HOTA", "DetA", "AssA")
COMMON_CLASSES = frozenset(
    (
        4, 13, 34, 35, 36, 41, 45, 58, 60, 78, 79, 81, 91, 95, 99, 118, 126, 133, 139, 154, 174, 185, 211, 221, 229,
        235, 237, 276, 299, 347, 371, 382, 392, 428, 429, 452, 475, 480, 502, 544, 579, 621, 625, 642, 699, 714, 717,
        729, 747, 779, 805, 829, 852, 896, 926, 937, 961, 979, 980, 982, 993, 1001, 1018, 1038, 1057, 1091, 1097,
        1099, 1115, 1117, 1122, 1132, 1135, 1144, 1155, 1162, 1215, 1229,
    )
)  # fmt: skip
"""Ids of the classes shared with COCO, as listed by the benchmark."""


def score_burst_hota(videos: Sequence[Video], results: Path, annotations: Path) -> dict[str, float | None]:
    """Return `COLUMNS` in percent over all classes, and with "_common" and "_uncommon"; None for an empty group.

    ``results`` has ``<sequence>/<frame>.png`` for annotated frames; ``annotations`` is BURST's JSON of the split.
    """
    from trackeval.datasets import BURST
    from trackeval.metrics import HOTA

    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),  # TrackEval prints its progress
    ):
        # TrackEval reads the only file of each folder
        truth, trackers = Path(folder) / "truth", Path(folder) / "trackers"
        selection = truth / "selection.json"
        write_selection(selection, annotations, [video.name for video in videos])
        write_run_lengths(videos, results, trackers / "ours" / "data" / "results.json", annotations=selection)
        settings = {"GT_FOLDER": str(truth), "TRACKERS_FOLDER": str(trackers), "TRACKERS_TO_EVAL": ["ours"]}
        data = BURST({**settings, "EXEMPLAR_GUIDED": True, "MAX_DETECTIONS": 0, "PRINT_CONFIG": False})
        metric = HOTA()
        scores_by_class: dict[int, dict[str, Any]] = {}
        for sequence in data.seq_list:
            raw = data.get_raw_seq_data("ours", sequence)
            video = data.seq_name_to_seq_id[sequence]
            for name, number in data.class_name_to_class_id.items():
                # classes absent from the sequence contribute nothing
                if number in data.seq_to_classes[video]["pos_cat_ids"]:
                    scores = metric.eval_sequence(data.get_preprocessed_seq_data(raw, name))
                    scores_by_class.setdefault(number, {})[sequence] = scores
        means = {number: metric.combine_sequences(scores) for number, scores in scores_by_class.items()}
    table: dict[str, float | None] = {}
    common, uncommon = set(means) & COMMON_CLASSES, set(means) - COMMON_CLASSES
    for ending, class_group in (("", set(means)), ("_common", common), ("_uncommon", uncommon)):
        for column in COLUMNS:
            values = [float(np.mean(means[number][column])) for number in sorted(class_group)]
            table[column + ending] = 100 * sum(values) / len(values) if values else None
    return table
