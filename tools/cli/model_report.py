"""Parameters and FLOPs of a model, as text."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from aotlab.configs.schema import Config
from aotlab.engine.recurrence import encode_frame, memorize_reference
from aotlab.networks.build import build_model
from aotlab.networks.model import VOSModel
from aotlab.networks.preprocess import network_size
from aotlab.utils.text import align_columns

FRAME_SIZE = (480, 854)
"""(height, width) of the frame whose FLOPs are counted."""


def describe_model(config: Config) -> str:
    """Return the method, the parameters by part and the FLOPs of one frame of a model, as text."""
    height, width = network_size(FRAME_SIZE, config.input, align_corners=config.model.align_corners)
    with torch.device("meta"):
        model = build_model(config.model).eval()
        flops = count_flops(model, height, width)
    parameters = {
        part: sum(weight.numel() for weight in module.parameters()) for part, module in model.named_children()
    }
    rows: list[tuple[str, str]] = []
    for title, unit, scale, counts in (("parameters", "M", 1e6, parameters), ("one frame", "GFLOP", 1e9, flops)):
        rows += [(title, unit), *((part, f"{count / scale:.2f}") for part, count in counts.items() if count)]
        rows.append(("total", f"{sum(counts.values()) / scale:.2f}"))
    blocks = " + ".join(str(stage.depth) for stage in config.model.stages)
    lines = [
        f"{config.name}: {config.model.method}, encoder {config.model.encoder}, blocks {blocks}, "
        f"memory {config.memory.policy}",
        f"one frame: {width}x{height} in the network, one object, one frame in long-term memory",
        *align_columns(rows, right=1),
    ]
    return "\n".join(lines)


@torch.no_grad()
def count_flops(model: VOSModel, height: int, width: int) -> dict[str, int]:
    """Return the FLOPs of each step of a frame in the network's size, with one object and one frame in memory.

    A multiply-add counts as 2; matrix products and convolutions count.
    """
    image, masks = torch.empty(1, 3, height, width), torch.empty(1, 2, height, width)
    features = encode_frame(model, image, (height, width))
    memory, _ = memorize_reference(model, features, masks)
    propagated = model.propagate(features, memory)
    flops = {}
    for part, compute in {
        "encode": lambda: encode_frame(model, image, (height, width)),
        "propagate": lambda: model.propagate(features, memory),
        "decode": lambda: model.decode(propagated, features),
        "memorize": lambda: model.memorize(propagated, model.assign_identities(masks)),
    }.items():
        with FlopCounterMode(display=False) as counter:
            compute()
        flops[part] = counter.get_total_flops()
    return flops
