"""Cutie of the wheel rf-cutie: `InferenceCore` behind aotlab's interface, with masks from prompts by a segmenter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from aotlab import Prompt, sdk
from aotlab.utils.versioned_files import load_pickle
from aotlab_trackers.base import ModelTracker, order_ids

SHORT_EDGE = 480
"""Limit of the frames' shorter edge in pixels, as in the published evaluation."""
MEMORY_EVERY = 5
"""Interval of stored frames, as in the published evaluation."""
PLACEHOLDER = -1
"""Id of an object without pixels, see `CutieTracker.track`."""
_build_lock = Lock()


def make_config(size: str, *, short_edge: int | None = SHORT_EDGE) -> Any:
    """Return the settings of the published evaluation; ``size``: base or small."""
    import cutie
    from omegaconf import OmegaConf

    folder = Path(cutie.__path__[0]) / "config"
    config: Any = OmegaConf.load(folder / "eval_config.yaml")
    sizes = ["base"] if size == "base" else ["base", size]
    config.model = OmegaConf.merge(*(OmegaConf.load(folder / "model" / f"{name}.yaml") for name in sizes))
    # the file leaves these to data sets; without long-term memory, the working memory has a fixed number of frames
    config.mem_every, config.use_long_term = MEMORY_EVERY, False
    config.max_internal_size = short_edge or -1
    return config


def build_network(config: Any) -> Any:
    """Return the network with random weights; the library would download those of ImageNet first."""
    from cutie.model.cutie import CUTIE
    from cutie.model.utils import resnet

    nothing = SimpleNamespace(load_url=lambda *_, **__: {})
    with _build_lock, patch.multiple(resnet, model_zoo=nothing, load_weights_add_extra_dim=lambda *_: None):
        return CUTIE(config).eval()


def load_weights(network: Any, path: Path) -> None:
    """Load the weights of a file; raise `InputError` unless they are of this network."""
    with sdk.reading(path, "give weights of Cutie", RuntimeError):  # of PyTorch, for another size
        weights = load_pickle(path)
        if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
            raise ValueError("not a dict of tensors")
        missing = [name for name in network.state_dict() if name not in weights and not name.startswith("aux_")]
        if missing:
            raise ValueError(f"lacks {missing[0]}")
        network.load_weights(weights)


class CutieTracker(ModelTracker):
    """A network with an `InferenceCore` for each video."""

    def __init__(
        self,
        network: Any,
        config: Any,
        *,
        device: str = "auto",
        precision: str = "float32",
        compile: bool = False,
    ) -> None:
        """Move the network, in evaluation mode, to the device; ``config``: `make_config`; see `ModelTracker`."""
        self.network, self.config = network.to(sdk.pick_device(device)).eval(), config
        self._segmenter = sdk.load_segmenter(device=device)
        if compile:
            for part in (network.pixel_encoder, network.mask_encoder, network.mask_decoder):
                part.compile()
        super().__init__(device=device, precision=precision)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were added."""
        return tuple(self.core.object_manager.all_obj_ids)

    def start_video(self) -> None:
        """Begin with an empty memory."""
        from cutie.inference.inference_core import InferenceCore

        self.core = InferenceCore(self.network, self.config)

    def find_segmenter(self) -> sdk.PromptSegmenter:
        """Return aotlab's bundled segmenter: Cutie takes masks only."""
        return self._segmenter

    def track(self, frame: np.ndarray, masks: Mapping[int, np.ndarray], prompts: Mapping[int, Prompt]) -> Tensor | None:
        """Track to the next frame, as `ModelTracker.track`."""
        image = torch.from_numpy(frame).to(self.device).permute(2, 0, 1).float() / 255
        if not masks:
            return self._to_logits(self.core.step(image)) if self.ids else None
        labels = np.zeros(frame.shape[:2], np.int64)
        for object_id, mask in masks.items():
            labels[mask] = object_id
        objects = order_ids(self.ids, [*masks])  # the core asserts this order
        # With a mask of some of its objects, the core would drop the others, but not if one is new.
        is_partial = len(objects) < len(self.ids) and all(object_id in self.ids for object_id in objects)
        if is_partial:
            objects.append(PLACEHOLDER)
        probabilities = self.core.step(image, torch.from_numpy(labels).to(self.device), objects)
        if is_partial:
            self.remove(PLACEHOLDER)
            probabilities = probabilities[:-1]
        return self._to_logits(probabilities)

    def remove(self, object_id: int) -> None:
        """Remove an object also where the core keeps it: in its last mask, and in the summary of its pixels."""
        core, channel = self.core, self.ids.index(object_id)
        core.delete_objects([object_id])
        core.memory.obj_v.pop(object_id, None)
        core.last_mask = torch.cat([core.last_mask[:, :channel], core.last_mask[:, channel + 1 :]], 1)

    def _to_logits(self, probabilities: Tensor) -> Tensor:
        return probabilities.float().clamp(min=1e-7).log()
