"""The colours of new objects are told apart by people with each kind of colour vision."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from aotlab_studio.project.objects import COLOURS

VISION = {
    "all cones": np.eye(3),
    "no red": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0521]],
    "no green": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "no blue": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}
"""Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB"""
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def lab(colours, vision):
    """CIELAB of #rrggbb as somebody sees them: N×3."""
    values = np.array([[int(text[at : at + 2], 16) / 255 for at in (1, 3, 5)] for text in colours])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(vision).T, 0, 1)
    ratio = seen @ TO_XYZ.T / WHITE
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("name", VISION)
@pytest.mark.parametrize(("count", "least"), [(3, 35), (10, 20), (20, 16)])
def test_colours_differ_for_every_kind_of_vision(name, count, least):
    seen = lab(COLOURS[:count], VISION[name])
    assert len(set(COLOURS)) == 20
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > least
