"""The authors' own code of AOT and DeAOT, the wheel deaotpy (aot-benchmark of 2022), behind aotlab's interface.

Its networks, engine, preprocessing and memory run as its evaluator drives them (aot/networks/managers/evaluator.py);
nothing is aotlab's but the weights' names.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from functools import partial
from threading import Lock
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab import InputError, Prompt, sdk
from aotlab_trackers.base import ModelTracker

UNSTORED = ("LSTT.mask_token", "relative_position_index")
"""Endings of the names in the authors' models that no checkpoint needs: an unused parameter, and constants of Swin."""
ABSENT = -1e4
"""Logit of an object that is added."""
_build_lock = Lock()


def build_network(name: str) -> Any:
    """Return the authors' network of a preset with random weights, in evaluation mode."""
    from aot.configs.default import DefaultEngineConfig
    from aot.networks.layers import transformer
    from aot.networks.models import build_vos_model

    # without an extension for CUDA, AOT's local attention chooses a class that fails, not the one that unfolds
    unfolding = partial(transformer.MultiheadLocalAttentionV2, enable_corr=False)
    choice = patch.object(transformer, "MultiheadLocalAttentionV3", unfolding)
    with _build_lock, choice, contextlib.redirect_stdout(io.StringIO()):  # it prints that the extension is missing
        config = DefaultEngineConfig("aotlab", name)
        return build_vos_model(config.MODEL_VOS, config).eval()


def copy_weights(network: Any, model: torch.nn.Module) -> None:
    """Copy the weights of aotlab's model of the same preset; raise `ValueError` if one of the networks has others."""
    published = sdk.map_published_names(model.state_dict())
    weights = {published[key]: value for key, value in model.state_dict().items()}
    missing, unexpected = network.load_state_dict(weights, strict=False)
    if wrong := [key for key in missing if not key.endswith(UNSTORED)] + unexpected:
        raise ValueError(f"{wrong[0]} is not in both networks")


class AuthorsTracker(ModelTracker):
    """A network of the authors with one of their engines for each video; it forgets all objects or none."""

    def __init__(self, network: Any, *, memory_every: int | None = None, device: str = "auto") -> None:
        """Move the network to the device; ``memory_every``: interval of stored frames, None: the published one."""
        self.network = network.to(sdk.pick_device(device))
        self.memory_every = memory_every or network.cfg.TEST_LONG_TERM_MEM_GAP
        self._segmenter = sdk.load_segmenter(device=device)
        self._transforms = make_transforms(network.cfg)
        super().__init__(device=device, precision="float32")

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were added."""
        return self._ids

    def start_video(self) -> None:
        """Begin with an empty memory."""
        from aot.networks.engines import build_engine

        self._ids: tuple[int, ...] = ()
        config = self.network.cfg
        self.engine = build_engine(
            config.MODEL_ENGINE, phase="eval", aot_model=self.network, gpu_id=None,
            long_term_mem_gap=self.memory_every, short_term_mem_skip=config.TEST_SHORT_TERM_MEM_SKIP,
        ).eval()  # fmt: skip

    def find_segmenter(self) -> sdk.PromptSegmenter:
        """Return aotlab's bundled segmenter: the authors' models take masks only."""
        return self._segmenter

    def track(self, frame: np.ndarray, masks: Mapping[int, np.ndarray], prompts: Mapping[int, Prompt]) -> Tensor | None:
        """Track to the next frame, as `ModelTracker.track`."""
        engine, size, is_first = self.engine, frame.shape[:2], not self._ids
        if is_first and not masks:
            return None
        image = self._transform(frame)
        labels = torch.zeros(1, 1, *size, device=self.device)
        if not is_first:
            engine.match_propogate_one_frame(image)
            logits = engine.decode_current_logits(size)
            labels = logits.softmax(1).argmax(1, keepdim=True).float()
        self._ids += tuple(object_id for object_id in masks if object_id not in self._ids)
        for object_id, mask in masks.items():
            number = 1 + self._ids.index(object_id)
            labels[labels == number] = 0
            labels[0, 0, torch.from_numpy(mask).to(self.device)] = number
        small = F.interpolate(labels, size=image.shape[2:], mode="nearest")
        if masks:
            engine.add_reference_frame(image, small, obj_nums=[len(self._ids)])
            again = engine.decode_current_logits(size)
            logits = again if is_first else logits
        if not is_first:
            engine.update_memory(small)
        missing = 1 + len(self._ids) - logits.shape[1]  # the prediction of this frame has no new group of objects
        return F.pad(logits[0, : 1 + len(self._ids)], (0, 0, 0, 0, 0, max(0, missing)), value=ABSENT)

    def remove(self, object_id: int) -> None:
        """Raise `InputError`: the authors' engine has no such step."""
        raise InputError("the authors' code cannot stop tracking one of several objects", subject="forget")

    def _transform(self, frame: np.ndarray) -> Tensor:
        """Return a frame as the network takes it: 1×3×H×W."""
        (sample,) = self._transforms([{"current_img": frame.astype(np.float32)}])
        image: Tensor = sample["current_img"]
        return image[None].to(self.device)


def make_transforms(config: Any) -> Any:
    """Return the preprocessing of the authors' evaluator: a function of a list with one sample."""
    threads = cv2.getNumThreads()
    from aot.dataloaders import video_transforms

    cv2.setNumThreads(threads)  # which the import sets to 0
    restrict = video_transforms.MultiRestrictSize(
        config.TEST_MAX_SHORT_EDGE, config.TEST_MAX_LONG_EDGE, config.TEST_FLIP, config.TEST_MULTISCALE,
        config.MODEL_ALIGN_CORNERS,
    )  # fmt: skip
    to_tensor = video_transforms.MultiToTensor()
    return lambda samples: to_tensor(restrict(samples[0]))
