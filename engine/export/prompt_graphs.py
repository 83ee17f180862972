"""The prompt network as two graphs: a frame is encoded once, then objects are segmented one by one."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from aotlab.engine.export.graphs import Graph, GraphModule
from aotlab.engine.export.names import Tensors
from aotlab.engine.prompting import SETTINGS, look_size
from aotlab.networks.prompts import PLANES
from aotlab.networks.vos_model import VOSModel
from aotlab.utils.errors import InputError

MAPS = ("quarter", "eighth", "sixteenth", "projected")
"""feature maps by stride, and the last one projected"""
NAMES = ("prompt_encode", "prompt_masks")
"""the graphs' names"""


def build_prompt_graphs(model: VOSModel, video: tuple[int, int]) -> dict[str, Graph]:
    """The two graphs of a model's prompt network.

    ``prompt_encode`` takes ``image`` 1×3×H×W, normalised, and gives the maps; ``prompt_masks`` takes the maps and
    ``planes`` 1×4×H×W of an object in 0 to 1 (see `aotlab.networks.prompts.PLANES`), and gives its ``logits`` 1×1×h×w
    at stride 4.

    Args:
        model: stays as it is.
        video: (height, width) of the frames, which the network sees with a longer edge of `SETTINGS.whole_edge`.

    Raises:
        InputError: the model takes no prompts.
    """
    if model.prompts is None:
        raise InputError("this model takes no prompts; export the bundled one, or without prompts")
    network: Any = deepcopy(model.prompts).cpu().float().eval().requires_grad_(False)
    size = look_size(video, SETTINGS.whole_edge, align_corners=model.config.align_corners)
    drawn = torch.Generator().manual_seed(0)
    image = {"image": torch.rand(1, 3, *size, generator=drawn)}
    with torch.no_grad():
        maps = _encode(network, image)
        planes = {"planes": torch.rand(1, len(PLANES), *size, generator=drawn)}
        masks = _segment(network, maps | planes)
    encode, segment = NAMES
    return {
        encode: Graph(GraphModule(network, _encode, ("image",), MAPS), image, maps, {}),
        segment: Graph(
            GraphModule(network, _segment, (*MAPS, "planes"), ("logits",)), maps | planes, masks, {}
        ),
    }


def _encode(network: Any, given: Tensors) -> dict[str, Tensor]:
    return dict(zip(MAPS, network.encode(given["image"]), strict=True))


def _segment(network: Any, given: Tensors) -> dict[str, Tensor]:
    return {"logits": network([given[name] for name in MAPS], given["planes"])}
