"""Memory budget: size of long-term memory per frame."""

from __future__ import annotations

import torch

from aotlab.configs.schema import Config
from aotlab.engine.memory import MemoryBank
from aotlab.engine.policies import FirstFrame
from aotlab.engine.recurrence import propagate_reference, write_memory
from aotlab.networks.preprocess import network_size
from aotlab.networks.vos_model import VOSModel


def frame_bytes(config: Config, size: tuple[int, int], objects: int) -> int:
    """Return the bytes of long-term memory per frame, at most if frames are enlarged for small objects.

    Measured by storing a reference frame on the meta device, so it holds for any model.

    Args:
        config: settings of model and input.
        size: (height, width) of the video.
        objects: number of tracked objects, at least 1.
    """
    identities = config.model.max_objects
    height, width = network_size(size, config.input, align_corners=config.model.align_corners, smallest=1)
    groups, bank = -(-objects // identities), MemoryBank(FirstFrame())
    with torch.device("meta"), torch.inference_mode():
        model = VOSModel(config.model).eval()
        features = model.encode(torch.empty(1, 3, height, width))
        masks = torch.empty(groups, identities + 1, height, width)
        write_memory(model, [bank], propagate_reference(model, [bank], features, [masks]))
    return bank.nbytes
