"""Scoring rules of SA-V: J and F of overlapping objects, each scored separately.

An object's first and last annotated frame do not count, nor do frames before the first pixel of its annotation or
prediction; objects without pixels in their scored annotations are skipped.
Source: Ravi et al. 2024 and the public evaluator.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aotlab.evaluation.sequence_scores import AnnotatedSequence, ScoringPlan
from aotlab.masks.id_maps import read_mask
from aotlab.utils.errors import InputError


def plan_sequence(sequence: AnnotatedSequence) -> ScoringPlan:
    """Plan the scoring of an SA-V video; reads all annotations; raises `InputError` if no object has a scored frame."""
    folders = sequence.object_folders
    paths = {object_id: sorted(folders[object_id].glob("[!.]*.png"))[1:-1] for object_id in sorted(folders)}
    found = {
        object_id: {path.stem: bool(read_mask(path).any()) for path in paths[object_id]}
        for object_id in paths
    }
    ids = tuple(object_id for object_id in found if any(found[object_id].values()))
    if not ids:
        raise InputError(
            f"{sequence.name}: no object has a mask between its first and last annotation; nothing to score"
        )
    stems = sorted({stem for object_id in ids for stem in found[object_id]})
    return ScoringPlan(
        sequence.name,
        tuple(Path(f"{stem}.png") for stem in stems),
        ids,
        names=tuple(folders[object_id].name for object_id in ids),
        counted=np.array([[stem in found[object_id] for stem in stems] for object_id in ids], dtype=bool),
        present=np.array(
            [[found[object_id].get(stem, False) for stem in stems] for object_id in ids], dtype=bool
        ),
        object_folders={object_id: folders[object_id] for object_id in ids},
        strict=False,
    )
