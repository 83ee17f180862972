"""Soft and refined edges: alpha and colors of objects near the borders of their masks.

The constants were chosen on the clips of ``research/bundled/edge_clips.py``; ``docs/howto/compositing.md`` has errors.
Closed-form matting (Levin, Lischinski and Weiss, 2008) and the estimation of foreground colors at several levels
(Germer, Uelwer, Conrad and Harmeling, 2020), both of pymatting.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import cv2
import numpy as np

from aotlab import InputError
from aotlab_video import TrackedFrame, quantize_probabilities

BAND, INSIDE = 8, 0.75
"""Width of the band in which alpha is estimated outside the border, in pixels of a frame with 480 rows, and the part
of it inside. It grows with frames, and is half as wide in small ones.
"""
SOLID_DEPTH, EMPTY_DISTANCE = (4, 8), (8, 16)
"""Depths inside a mask over which the least alpha rises to 1, and distances over which the largest falls to 0.

In pixels of a frame with 480 rows, as the width of the band.
"""
MAX_DEPTH = 0.6
"""Largest depth of the band in a thin part of an object, relative to half the width of the part."""
CERTAINTY, PRIOR = 100.0, 0.1
"""Weights of the mask outside the band, as in the paper, and of the probability inside."""
REGULARIZATION = 3e-4
"""Variance of colors from 0 to 1 in a window below which alpha is smooth; a smaller one follows noise, and flickers."""
BLUR = 0.7
"""Standard deviation in pixels of the blur of the colors that alpha follows, against noise."""
TOLERANCE = 1e-5
"""Relative error at which the solver stops; it changes no alpha by half a level of 8 bits."""


def require_pymatting() -> None:
    """Raise `InputError` unless edges can be refined."""
    if not find_spec("pymatting"):
        raise InputError(
            "pymatting must be installed for this; pip install './packages/compositing[edges]' in a checkout"
        )


@cache
def load_pymatting() -> ModuleType:
    """Import pymatting in another thread: numba sets the OpenMP threads of the one that does, and so PyTorch's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(import_module, "pymatting").result()


@lru_cache(maxsize=1)  # of the latest frame, for all outputs
def shape_edges(tracked: TrackedFrame, refine: bool) -> TrackedFrame:
    """Return a frame with refined or confined edges."""
    return refine_edges(tracked) if refine else confine_edges(tracked)


def refine_edges(tracked: TrackedFrame) -> TrackedFrame:
    """Return a frame with refined edges in its ``soft``, made from its probabilities, or without them from its labels.

    Objects are refined one by one; where they add up to more than 1, each gets its share. Edges that were given stay.
    """
    if tracked.soft is None:
        masks = tracked.labels == np.array(tracked.ids, tracked.labels.dtype)[:, None, None]
    else:
        masks = tracked.probabilities
    alphas = np.array(masks, np.float32)
    for position, object_id in enumerate(tracked.ids):
        if object_id not in tracked.soft_ids:
            alphas[position] = refine_alpha(tracked.frame, masks[position])
    alphas /= np.maximum(alphas.sum(0), 1)
    return replace(tracked, soft=quantize_probabilities(alphas))


def confine_edges(tracked: TrackedFrame) -> TrackedFrame:
    """Return a frame whose ``soft`` is 1 deep inside the mask of an object, and 0 far outside; the same without it.

    Tracked frames have small probabilities far from objects, and uncertain parts inside, which would be transparent.
    Edges that were given stay.
    """
    if tracked.soft is None or not tracked.ids:
        return tracked
    masks = tracked.labels == np.array(tracked.ids, tracked.labels.dtype)[:, None, None]
    limits = [find_limits(mask) for mask in masks]
    others = 1 - np.max([least for least, _ in limits], axis=0)
    alphas = tracked.probabilities
    for position, (mask, (least, largest)) in enumerate(zip(masks, limits, strict=True)):
        if tracked.ids[position] not in tracked.soft_ids:
            alphas[position].clip(least, np.where(mask, largest, np.minimum(largest, others)), out=alphas[position])
    alphas /= np.maximum(alphas.sum(0), 1)
    return replace(tracked, soft=quantize_probabilities(alphas))


def find_limits(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest alpha H×W float32 of an object, given its mask H×W bool."""
    scale, depth, distance = measure_distances(mask)
    (outer, inner), (near, far) = SOLID_DEPTH, EMPTY_DISTANCE
    least = (depth - outer * scale) / ((inner - outer) * scale)
    largest = (far * scale - distance) / ((far - near) * scale)
    return least.clip(0, 1), largest.clip(0, 1)


def measure_distances(mask: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the pixels per pixel of a frame with 480 rows, and the distances to a mask H×W bool.

    These are H×W float32 in pixels: of pixels of the mask to those outside, and of those outside to the mask.
    """
    depth, distance = (
        cv2.distanceTransform(np.pad(part, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        for part in (mask, ~mask)
    )
    return max(min(mask.shape) / 480, 0.5), depth, distance


def find_band(mask: np.ndarray, band: float = BAND) -> np.ndarray:
    """Return the pixels H×W bool near the border of a mask H×W bool; the middle of its thin parts is not among them."""
    scale, depth, distance = measure_distances(mask)
    inner = INSIDE * band * scale
    size = 2 * round(inner) + 1
    width = cv2.dilate(depth, np.ones((size, size), np.uint8))
    inside = depth <= np.minimum(inner, MAX_DEPTH * width)
    return np.where(mask, inside, distance <= band * scale) & mask.any() & ~mask.all()


def refine_alpha(frame: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the alpha H×W float32 of an object: estimated near the border of its mask, 0 or 1 elsewhere.

    Args:
        frame: H×W×3 uint8 RGB.
        probability: H×W, of the object; the border is where it crosses 0.5.
    """
    from scipy.sparse import diags

    pymatting = load_pymatting()

    mask = np.asarray(probability) >= 0.5
    unknown, alpha = find_band(mask), mask.astype(np.float32)
    rows, columns = np.nonzero(unknown.any(1))[0], np.nonzero(unknown.any(0))[0]
    if not len(rows):
        return alpha
    window = np.s_[max(rows[0] - 2, 0) : rows[-1] + 3, max(columns[0] - 2, 0) : columns[-1] + 3]
    known = ~unknown[window].ravel()
    weights = np.where(known, CERTAINTY, PRIOR)
    target = np.where(known, mask[window].ravel(), probability[window].ravel())
    image = cv2.GaussianBlur(np.ascontiguousarray(frame[window], np.float64) / 255, (0, 0), BLUR)
    laplacian = pymatting.cf_laplacian(image, epsilon=REGULARIZATION, is_known=known)
    system = (laplacian + diags(weights)).tocsc()
    solution = pymatting.cg(system, weights * target, M=pymatting.ichol(system), rtol=TOLERANCE)
    estimated = solution.reshape(unknown[window].shape).clip(0, 1)
    alpha[window] = np.where(unknown[window], estimated, alpha[window])
    return alpha


def estimate_colors(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return an image H×W×C in its type with the colors of the object of a matte H×W, without those behind its edges.

    Where alpha is 1, the image is unchanged.
    """
    values = np.nan_to_num(image.astype(np.float64), posinf=0, neginf=0)
    largest = max(values.max(initial=0), 1e-6)  # the estimate is for colors from 0 to 1
    colors = load_pymatting().estimate_foreground_ml(values / largest, alpha.astype(np.float64)) * largest
    colors = colors.round() if image.dtype.kind in "iu" else colors
    return np.where(alpha[..., None] < 1, colors, image).astype(image.dtype)
