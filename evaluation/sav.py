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
    """Plan the scoring of an SA-V video; reads all annotations.

    Raises:
        InputError: no object has a scored frame, or an annotation cannot be read.
    """
    folders = sequence.object_folders
    paths = {identity: sorted(folders[identity].glob("[!.]*.png"))[1:-1] for identity in sorted(folders)}
    found = {
        identity: {path.stem: bool(read_mask(path).any()) for path in paths[identity]} for identity in paths
    }
    ids = tuple(identity for identity in found if any(found[identity].values()))
    if not ids:
        raise InputError(
            f"{sequence.name}: no object has a mask between its first and last annotation; nothing to score"
        )
    stems = sorted({stem for identity in ids for stem in found[identity]})
    return ScoringPlan(
        sequence.name,
        tuple(Path(f"{stem}.png") for stem in stems),
        ids,
        counted=np.array([[stem in found[identity] for stem in stems] for identity in ids], dtype=bool),
        present=np.array(
            [[found[identity].get(stem, False) for stem in stems] for identity in ids], dtype=bool
        ),
        object_folders={identity: folders[identity] for identity in ids},
        strict=False,
    )
