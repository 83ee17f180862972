"""`Tracker`: frames and masks in, masks out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.protocol import Protocol, with_protocol
from aotlab.configs.schema import Config
from aotlab.engine.inputs import FrameLike, MaskLike, Size, frame_array, output_size
from aotlab.engine.memory import MemoryBank, build_bank
from aotlab.engine.objects import ObjectTable, certain, overrule, smallest_area
from aotlab.engine.prediction import Prediction
from aotlab.engine.prompting import PromptedFrame, exclusive, given_ids
from aotlab.engine.recurrence import Seen, look, one_hot, refer, remember
from aotlab.engine.state import STATES, made_by, read_state
from aotlab.media.prompt import Prompt
from aotlab.networks import kernels
from aotlab.networks.kernels.folding import folded
from aotlab.networks.kernels.tuning import fastest_precision
from aotlab.networks.model import Model
from aotlab.networks.preprocess import network_size, normalise
from aotlab.networks.primitives import resize
from aotlab.networks.vos_model import Features, VOSModel
from aotlab.networks.weights.zoo import load_model
from aotlab.utils.devices import autocast, pick_device
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_json import wrap

log = logging.getLogger(__name__)

FEW_PLANES = 5
"""largest number of maps that are resized faster plane by plane than channels-last"""


class Tracker:
    """Tracks any objects through a video, frame by frame.

    >>> tracker = Tracker.from_checkpoint("pretrain_models/aott_mini.safetensors")
    >>> tracker.step(first_frame, mask)          # H×W×3 uint8 RGB, H×W object ids
    >>> labels = tracker.step(next_frame).labels
    """

    def __init__(self, model: Model, config: Config, *, device: str | torch.device = "cpu") -> None:
        self.device = pick_device(str(device))
        kernels.install()
        self.model: Model = folded(model.to(self.device).eval())
        if config.compute.compile:
            self.model.compile_parts()
        self.autocast = autocast(self.device, fastest_precision(config.compute.precision, self.device))
        self.config = config
        self.one_group_at_a_time = False
        """run the groups of a frame one after another, to save memory; set it after a reset"""
        self.reset()

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path = BUNDLED_CHECKPOINT,
        *,
        config: str | None = None,
        overrides: Sequence[str] = (),
        device: str = "cpu",
        protocol: Protocol = "bounded",
    ) -> Tracker:
        """Load a model and return its tracker; arguments and errors as `load_model`.

        Args:
            path: checkpoint or folder of `save_pretrained`, or a name: ``bundled``, published weights, hf://OWNER/NAME.
            config: preset or file of settings.
            overrides: settings as ``key=value``.
            protocol: ``bounded`` for videos of any length: RMem replaces a memory without a bound, unless ``overrides``
                set a memory policy. ``published``: the memory of the paper's benchmarks.
        """
        model, settings = load_model(path, config=config, overrides=overrides)
        bounded = with_protocol(settings, protocol, overrides)
        if bounded.memory.policy != settings.memory.policy:
            log.info(
                "%s: memory.policy %s keeps %d frames instead of all as published; set memory.policy=%s to keep all",
                settings.name, bounded.memory.policy, bounded.memory.frames, settings.memory.policy,
            )  # fmt: skip
        return cls(model, bounded, device=device)

    @classmethod
    def from_pretrained(
        cls, name: str | Path | None = None, *, overrides: Sequence[str] = (), device: str = "cpu"
    ) -> Tracker:
        """Return a tracker of the bundled model, or of the weights that `from_checkpoint` takes as ``path``."""
        return cls.from_checkpoint(name or BUNDLED_CHECKPOINT, overrides=overrides, device=device)

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames before the next video; ``length``: its number of frames, if known."""
        if length is not None and not (isinstance(length, Integral) and length > 0):
            raise InputError(f"reset: length {length!r}: give a number of frames from 1 on, or None")
        self._length = length
        self.objects = ObjectTable(self.model.config.max_objects)
        self.banks: list[MemoryBank] = []
        """memory of each batch of groups"""
        self._frame_shape: tuple[int, ...] | None = None
        self._network_size: Size = (0, 0)

    def fresh(self) -> Tracker:
        """Return another tracker of the same model and settings, without objects or frames."""
        other = copy(self)
        other.reset()
        return other

    def set_depth(self, depth: int) -> None:
        """Use the first ``depth`` blocks of a scalable model (AOST), and reset.

        Raises:
            InputError: deeper than trained, another kind of model, or exported graphs.
        """
        if not isinstance(self.model, VOSModel):
            raise InputError("tracker: exported graphs have a fixed depth; export with model.depth")
        self.model = self.model.at_depth(depth)
        self.config = replace(self.config, model=self.model.config)
        self.__dict__.pop("_made_by", None)  # states depend on the depth
        self.reset(self._length)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were given."""
        return self.objects.ids

    @property
    def groups(self) -> int:
        """Number of groups of `max_objects` that the objects fill."""
        return self.objects.groups

    @torch.inference_mode()
    def step(
        self,
        frame: FrameLike,
        mask: MaskLike | None = None,
        *,
        size: Size | None = None,
        prompts: Mapping[int, Prompt] | None = None,
    ) -> Prediction:
        """Track all objects to the next frame and return its masks; all background before the first mask.

        Args:
            frame: H×W×3 uint8 RGB, as an array, PIL image or tensor.
            mask: H×W object ids (bool: object 1); 0: keep the prediction. Later masks may add objects.
            size: (height, width) of the prediction; None: the frame's.
            prompts: prompts by object id; their masks count as given masks, see `prompt`.

        Raises:
            InputError: unusable input; nothing changes. After a failure in mid-change, only `reset` is accepted.
        """
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.shape != self._frame_shape:
            frame = frame_array(frame, self._frame_shape)
        size = (frame.shape[0], frame.shape[1]) if size is None else output_size(size)
        if mask is not None or prompts:
            mask = given_ids(self.prompt, frame, mask, prompts, required=not self.objects.by_channel)
        if mask is None and not self.banks:
            self._frame_shape = frame.shape
            return Prediction((), *self.label((), size))
        with self.autocast:
            features = self.encode(frame, mask)  # once for all groups of objects
            seen = look(self.model, self.banks, features)  # propagate and decode
            logits, channels = self.label(seen, size)
            if mask is None:
                remember(self.model, self.banks, seen, self.masks(channels, self.objects))
            else:
                logits, channels = self.refer(features, channels, mask)
        self._frame_shape = frame.shape
        ids = tuple(self.objects.by_channel)
        if 0 in ids:
            ids, (logits, channels) = self.ids, self.objects.without_forgotten(logits, channels)
        return Prediction(ids, logits, channels, temperature=self.config.confidence_temperature)

    @torch.inference_mode()
    def prompt(self, frame: FrameLike, prompts: Mapping[int, Prompt]) -> Prediction:
        """Segment objects of one frame from prompts by object id, without overlap; memory is unchanged.

        Raises InputError for an unusable frame, no prompts, a prompt outside the frame, or a model without prompts.
        """
        if not prompts:
            raise InputError("prompts: give at least one object")
        prompted = PromptedFrame(self.model, frame_array(frame, self._frame_shape))
        with self.autocast:
            logits = exclusive(prompted.logits(list(prompts.values())))
        return Prediction(tuple(prompts), logits, logits.max(0).indices)

    def encode(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Features:
        """Encode a frame H×W×3 uint8, resized and normalised for the network; the first mask decides the size."""
        if not self.banks:
            size, align = (frame.shape[0], frame.shape[1]), self.config.model.align_corners
            limits = self.config.input
            smallest = None if mask is None or limits.min_object is None else smallest_area(mask)
            self._network_size = network_size(size, limits, align_corners=align, smallest=smallest)
        pixels = torch.from_numpy(np.require(frame, requirements=["C", "W"]))
        if self.device.type == "cuda":
            pixels = pixels.pin_memory()  # copied while the GPU computes the frame before
        pixels = pixels.to(self.device, non_blocking=True).permute(2, 0, 1)[None]
        return self.model.encode(normalise(resize(pixels.float() / 255, self._network_size)))

    def label(self, seen: Sequence[Seen], size: Size) -> tuple[Tensor, Tensor]:
        """Merge what all banks have seen of a frame.

        Returns:
            Logits (1+n)×H×W of all objects at the output size, and the most likely channel per pixel, H×W int64.
        """
        if not seen:
            nothing = torch.zeros(1, *size, dtype=torch.float32, device=self.device)
            return nothing, nothing[0].long()
        ids = self.objects.by_channel
        _, _, by_bank = zip(*seen, strict=True)
        logits = torch.cat(by_bank).float()  # a copy, as memory policies read the logits unchanged
        if len(logits) == 1:
            logits = logits[:, : len(ids) + 1]
        if len(logits) > 1 or 0 in ids:
            self.objects.suppress_absent(logits)
        if logits.shape[1] <= FEW_PLANES:
            logits = logits.contiguous()
        align = self.model.config.align_corners
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=align)  # G×(m+1)×H×W
        logits = logits[0] if len(logits) == 1 else self.objects.fuse(logits)
        return logits, logits.max(0).indices  # many times faster than argmax on CPUs

    def masks(self, channels: Tensor, objects: ObjectTable) -> list[Tensor]:
        """Convert channels H×W to the masks of each batch of ``objects``, B×(m+1)×h×w at the network's size."""
        small = F.interpolate(channels[None, None].float(), self._network_size, mode="nearest")[0, 0]
        count = len(objects.by_channel)
        return [one_hot(small, count + 1)[None]] if count <= objects.identities else objects.split(small)

    def refer(self, features: Features, predicted: Tensor, mask: np.ndarray) -> tuple[Tensor, Tensor]:
        """Store a reference frame: the mask, and the prediction where the mask is 0.

        Args:
            predicted: channels at the output size, H×W, from `label`.
            mask: object ids at the frame's size.

        Returns:
            As `label`, with logits of 0 and `ABSENT`.
        """
        objects, banks = deepcopy(self.objects), list(self.banks)
        given = objects.channels_of(mask).to(self.device)
        if self.banks:
            given = overrule(predicted, given, len(objects.by_channel))
        for _ in range(objects.open_batches(one_by_one=self.one_group_at_a_time)):
            banks.append(build_bank(self.config.memory, length=self._length))
        remember(self.model, banks, refer(self.model, banks, features, self.masks(given, objects)))
        self.objects, self.banks = objects, banks
        channels = F.interpolate(given[None, None].float(), predicted.shape, mode="nearest")[0, 0].long()
        return certain(channels, len(objects.by_channel)), channels

    def forget(self, object_id: int) -> None:
        """Stop tracking an object: it has no pixel from the next frame on, and its id may be given again.

        Its identity stays taken, as frames in memory show it, until all objects of its bank are forgotten.

        Raises:
            InputError: no such object is tracked.
        """
        if not np.isscalar(object_id) or object_id not in self.ids:
            raise InputError(f"forget: object {object_id!r} is not tracked; give one of {list(self.ids)}")
        empty = self.objects.forget(object_id)
        if empty is not None:
            del self.banks[empty]

    def state_dict(self, *, views: bool = False) -> dict[str, Any]:
        """Return the state with which a tracker of the same model resumes this video, for `torch.save`.

        Args:
            views: return views of this tracker's memory, which its next step may overwrite, instead of copies.

        Raises:
            InputError: a step failed while it changed memory.
        """
        content = {
            "made_by": self._made_by,
            "length": self._length,
            "objects": self.objects.state_dict(),
            "one_group_at_a_time": self.one_group_at_a_time,
            "frame_shape": self._frame_shape,
            "network_size": self._network_size,
            "banks": [bank.state_dict(views=views) for bank in self.banks],
        }
        return wrap(STATES, content)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume the video of a `state_dict` (`torch.load` with ``weights_only`` reads it).

        Raises:
            InputError: a state of other weights or settings, or damaged; the tracker is unchanged.
        """
        loaded = read_state(state, self._made_by, self.config, self.device)
        self.reset(loaded.length)
        self.objects, self.banks = loaded.objects, loaded.banks
        self._frame_shape, self._network_size = loaded.frame_shape, loaded.network_size
        self.one_group_at_a_time = loaded.one_group_at_a_time

    @cached_property
    def _made_by(self) -> dict[str, Any]:
        return made_by(self.model, self.config)
