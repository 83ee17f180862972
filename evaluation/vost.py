"""Scoring rules of VOST: DAVIS's frames and J only, also after the transformation.

Source: Tokmakov et al. 2023 and the public evaluator.
"""

import numpy as np

from aotlab.evaluation.metrics import region_similarity
from aotlab.evaluation.rows import Row, compute_statistics

COLUMNS = ("J", "J-Recall", "J-Decay", "J_tr", "J_tr-Recall", "J_tr-Decay")


def measure_region(annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int]) -> tuple[float]:
    """Return J, a `Measure`."""
    return (region_similarity(annotation, prediction),)


def make_row(region: np.ndarray) -> Row:
    """Return J (n,) of one object over all frames, and as J_tr over the last quarter, after the transformation.

    The last quarter starts at three quarters, rounded down.
    """
    return compute_statistics("J", region) | compute_statistics("J_tr", region[3 * len(region) // 4 :])
