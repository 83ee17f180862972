"""Soft edges of a mask given by the user, predicted from memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.recurrence import segment_frame
from aotlab.engine.tracking.groups import NO_OBJECT, Group, drop_forgotten, merge_logits
from aotlab.engine.tracking.inputs import ImageSize
from aotlab.engine.tracking.prediction import Prediction
from aotlab.networks.identity_bank import one_hot
from aotlab.networks.model import Features, VOSModel

EDGE_RADIUS = 4
"""Largest distance of a soft edge from the border of a mask, in pixels of the network: the stride of its logits."""


def soften_edges(
    model: VOSModel, groups: Sequence[Group], features: Features, input_size: ImageSize, prediction: Prediction
) -> Prediction:
    """Return the prediction of a frame with a mask with soft edges, as `Tracker.soften_edges`.

    ``features``: of that frame, encoded at ``input_size`` (height, width).
    """
    height, width = prediction.indices.shape
    group_logits = [segment_frame(model, group.memory, features).logits for group in groups]
    logits = merge_logits(groups, group_logits, (height, width), align_corners=model.config.align_corners)
    logits, _ = drop_forgotten(groups, logits)
    logits[[prediction.ids.index(object_id) + 1 for object_id in prediction.hidden]] = NO_OBJECT
    radius = math.ceil(EDGE_RADIUS * max(height / input_size[0], width / input_size[1]))
    return replace(prediction, edges=soften_mask(prediction.indices, logits, radius))


def soften_mask(indices: Tensor, logits: Tensor, radius: int) -> Tensor:
    """Return the probabilities (1+n)×H×W of a mask whose edges are predicted.

    They are those of ``logits`` near the borders of the mask. Where p of the pixels of the window around a pixel are of
    an object, its own pixels get at least p, and others at most p: 1 and 0 beyond ``radius``, also where the logits
    disagree with the mask. No object is more likely than that of the mask.

    Args:
        indices: H×W, the mask.
        logits: (1+n)×H×W.
        radius: pixels from the middle of the window to its sides, at least 1.
    """
    own, window = one_hot(indices, len(logits)), 2 * radius + 1
    share = F.avg_pool2d(own.float(), window, stride=1, padding=radius, count_include_pad=False)
    given = logits.scatter(0, indices[None], logits.max(0, keepdim=True).values).softmax(0)
    probabilities = torch.where(own > 0, given.maximum(share), given.minimum(share))
    return probabilities / probabilities.sum(0)
