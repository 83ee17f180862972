"""Figures of what a model sees: the similarity of its identities, and the attention of a frame to its memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.tracking.prediction import Draft
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.model import VOSModel
from aotlab.utils.files import atomic_path

MAX_PANELS = 6
"""Largest number of memory frames in a figure, the newest ones."""


class ObjectAttention(NamedTuple):
    """Attention of an object's tokens to long-term memory in the first block."""

    object_id: int
    mask: np.ndarray
    """H×W bool, the predicted mask of the object."""
    maps: Tensor
    """T×H×W float32, of each frame in memory, oldest first; attention per token, which sums to 1 over all tokens."""
    shares: Tensor
    """T, share of each frame."""


def compare_identities(model: VOSModel) -> list[Tensor]:
    """Return the cosines (1+M)×(1+M) of the identities of each bank, background first.

    An identity is the embedding of a patch that an object fills: the sum of its kernel. The model can distinguish
    objects whose cosine is small.
    """
    banks = [module for module in model.modules() if isinstance(module, IdentityBank)]
    identities = [F.normalize(bank.weight.detach().float().sum((2, 3)).T, dim=1) for bank in banks]
    return [vectors @ vectors.T for vectors in identities]


@torch.inference_mode()
def measure_attention(tracker: Tracker, draft: Draft) -> list[ObjectAttention]:
    """Return the attention of each predicted object of a frame; ``draft``: of `Tracker.predict`."""
    block, found = tracker.model.stage_blocks[0][0], []
    for group, decoded in zip(draft.state.groups, draft.decoded_frames, strict=True):
        query, key = block.long_attention.split(decoded.propagated.states[0][0].key, group.memory.keys)
        weights = (query.float() @ key.float().mT * query.shape[3] ** -0.5).softmax(3).mean(1)[0]  # L×(T·L)
        size = decoded.propagated.sizes[0]
        for object_id in filter(None, group.ids):  # 0: forgotten
            mask = draft.indices == draft.ids.index(object_id) + 1
            inside = F.interpolate(mask[None, None].float(), size, mode="area").flatten()
            if inside.any():
                attention = (inside @ weights / inside.sum()).unflatten(0, (-1, *size))
                maps = F.interpolate(attention[:, None], mask.shape, mode="bilinear")[:, 0]
                found.append(ObjectAttention(object_id, mask.cpu().numpy(), maps.cpu(), attention.sum((1, 2)).cpu()))
    return found


def draw_identities(path: Path, cosines: Sequence[Tensor]) -> None:
    """Write `compare_identities` as an image."""
    figure, panels = _make_figure(1, len(cosines), 4, 3.4)
    for panel, values in zip(panels[0], cosines, strict=True):
        image = panel.imshow(values.cpu(), vmin=-1, vmax=1, cmap="RdBu")
        panel.set_xlabel("identity (0: background)")
        figure.colorbar(image, ax=panel, label="cosine")
    _save(figure, path)


def draw_attention(path: Path, frame: np.ndarray, objects: Sequence[ObjectAttention]) -> None:
    """Write a row of images for each object: the frame H×W×3 with its outline, and the attention to memory."""
    count = min(MAX_PANELS, len(objects[0].maps))
    figure, panels = _make_figure(len(objects), 1 + count, 2.2, 1.6)
    for row, item in zip(panels, objects, strict=True):
        row[0].imshow(frame)
        row[0].contour(item.mask, colors="red", linewidths=1)
        row[0].set_title(f"object {item.object_id}")
        for panel, index in zip(row[1:], range(len(item.maps) - count, len(item.maps)), strict=True):
            panel.imshow(item.maps[index], cmap="inferno")
            panel.set_title(f"memory {index}: {item.shares[index]:.0%}")
        for panel in row:
            panel.axis("off")
    _save(figure, path)


def _make_figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Any, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
