"""`Tracker`: frames and masks in, masks out. The public face of the framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.configs.paths import BUNDLED_CHECKPOINT
from aotlab.configs.protocol import Protocol, with_protocol
from aotlab.configs.schema import Config
from aotlab.engine.advance import advance, one_hot, refer
from aotlab.engine.inputs import FrameLike, MaskLike, Size, frame_array, given_mask, output_size
from aotlab.engine.memory import MemoryBank, build_bank
from aotlab.engine.objects import ABSENT, ObjectTable, overrule
from aotlab.engine.prediction import Prediction
from aotlab.engine.state import made_by, read_state
from aotlab.networks.kernels.resizing import resize
from aotlab.networks.kernels.tuning import fastest_precision
from aotlab.networks.model import Model
from aotlab.networks.preprocess import network_size, normalise
from aotlab.networks.vos_model import Features
from aotlab.networks.weights.checkpoints import load_checkpoint
from aotlab.networks.weights.zoo import resolve
from aotlab.utils.devices import autocast, pick_device
from aotlab.utils.errors import InputError

Classify = Callable[[Tensor], Tensor]
"""from logits (1+n)×H×W to a channel for every pixel, H×W int64"""

FEW_PLANES = 5
"""up to which maps are resized faster plane by plane than channels-last"""
NEWEST = attrgetter("newest")
"""of a memory bank: changes with every frame that it takes in"""
HALFWAY = (
    "tracker: is in the middle of a step, of another thread or one that failed; give each thread a tracker of its own "
    "by twin(), and after a failure call reset(), or load_state_dict() with an earlier state"
)


class Tracker:
    """Tracks any objects through a video, frame by frame.

    >>> tracker = Tracker.from_checkpoint("pretrain_models/aott_mini.safetensors")
    >>> tracker.step(first_frame, mask)          # H×W×3 uint8 RGB, H×W object ids
    >>> labels = tracker.step(next_frame).labels
    """

    def __init__(self, model: Model, config: Config, *, device: str | torch.device = "cpu") -> None:
        self.device = pick_device(str(device))
        self.model: Model = model.to(self.device).eval().folded()
        if config.compute.compile:
            self.model.compile_parts()
        self._autocast = autocast(self.device, fastest_precision(config.compute.precision, self.device))
        self.config = config
        self.classify: Classify | None = None
        """decides which channel is predicted and remembered for a pixel, for trackers that decide together; None: the
        most likely, by `max`, which is many times faster on CPUs than argmax"""
        self.one_group_at_a_time = False
        """groups that come on one frame run one after another, which takes less memory; set it after a reset"""
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
        """Load a model and make a tracker of it; arguments and errors as `load_checkpoint`.

        Args:
            path: of the weights.
            config: preset or file of settings.
            overrides: settings as ``key=value``.
            device: to compute on.
            protocol: ``bounded`` for videos of any length: long-term memory that keeps ever more frames is replaced by
                RMem's, unless ``overrides`` name a memory policy. ``published``: the memory of the paper's benchmarks.
        """
        model, settings = load_checkpoint(Path(path), config=config, overrides=overrides)
        return cls(model, with_protocol(settings, protocol, overrides), device=device)

    @classmethod
    def from_pretrained(
        cls, name: str | Path | None = None, *, overrides: Sequence[str] = (), device: str = "cpu"
    ) -> Tracker:
        """A tracker of weights by name (``aotlab weights list``), fetched on first use, or of hf://owner/repository.

        Without a name: of the bundled model. Errors as `resolve` and `load_checkpoint`.
        """
        return cls.from_checkpoint(resolve(name or BUNDLED_CHECKPOINT), overrides=overrides, device=device)

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames, for the next video, which has ``length`` frames if that is known."""
        self._length = length
        self.objects = ObjectTable(self.model.config.max_objects)
        self._banks: list[MemoryBank] = []  # one for each of the objects' batches
        self._frame_shape: tuple[int, ...] | None = None
        self._network_size: Size = (0, 0)
        self._halfway = False  # in the middle of a step, or left there by an error
        self._groups_tried = 0  # of a reference frame that failed

    def twin(self) -> Tracker:
        """Another tracker of the same model and settings, without objects or frames."""
        other = copy(self)
        other.reset()
        return other

    @property
    def ids(self) -> tuple[int, ...]:
        """Objects tracked so far, in the order they were given, without forgotten ones."""
        return self.objects.ids

    @property
    def groups(self) -> int:
        """How many groups of `max_objects` these objects fill, or would have with those of a mask that failed."""
        return max(self.objects.groups, self._groups_tried)

    @torch.inference_mode()
    def step(self, frame: FrameLike, mask: MaskLike | None = None, *, size: Size | None = None) -> Prediction:
        """Track all objects to the next frame; returns its masks, all background before the first one is given.

        Args:
            frame: H×W×3 uint8 RGB, as an array, PIL image or tensor.
            mask: H×W object ids (bool: object 1), 0 for "nothing said here"; later ones bring new objects or masks.
            size: (height, width) of the prediction; the frame's when not given.

        Raises:
            InputError: a frame of another size than the first, a mask of another size, a first mask without object,
                or anything that is no such frame, mask or size. The tracker stays as it was, as it does when a step
                fails before its memory changes; after a later failure it refuses all frames until a reset.
        """
        if self._halfway:
            raise InputError(HALFWAY)
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.shape != self._frame_shape:
            frame = frame_array(frame, self._frame_shape)
        size = (frame.shape[0], frame.shape[1]) if size is None else output_size(size)
        if mask is not None:
            mask = given_mask(mask, frame, required=not self.objects.by_channel)
        if self._frame_shape is None:
            self._begin(frame)
        if mask is None and not self.objects.by_channel:
            return Prediction((), torch.zeros(1, *size), torch.zeros(size, dtype=torch.long))
        pixels = torch.from_numpy(np.require(frame, requirements=["C", "W"])).to(self.device)
        image = pixels.permute(2, 0, 1)[None] / 255
        image = normalise(resize(image, self._network_size))
        if mask is not None:
            return self._take_mask(image, mask, size)
        return self._track(image, size)

    def forget(self, number: int) -> None:
        """Track an object no longer: from the next frame on it has no pixel, and its id may be given anew.

        Frames in memory still show it, so its identity goes to no other object; once all objects of a bank are
        forgotten, the bank goes with its memory, and its identities are free.

        Raises:
            InputError: no such object is tracked.
        """
        if not np.isscalar(number) or number not in self.ids:
            raise InputError(f"forget: object {number!r} is not tracked; give one of {list(self.ids)}")
        empty = self.objects.forget(number)
        if empty is not None:
            del self._banks[empty]

    def state_dict(self) -> dict[str, Any]:
        """All that a tracker of the same model needs to go on with this video, as `torch.save` takes it.

        Tensors are views of this tracker's memory, which its next step may overwrite: save before it.

        Raises:
            InputError: a step failed in the middle.
        """
        if self._halfway:
            raise InputError(HALFWAY)
        return {
            "made_by": self._made_by,
            "length": self._length,
            "objects": self.objects.state_dict(),
            "one_group_at_a_time": self.one_group_at_a_time,
            "frame_shape": self._frame_shape,
            "network_size": self._network_size,
            "banks": [bank.state_dict() for bank in self._banks],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the video of the tracker that gave this state (`torch.load` with ``weights_only`` reads it).

        Raises:
            InputError: the state is of other weights or settings, or damaged; the tracker stays as it was.
        """
        loaded = read_state(state, self._made_by, self.config, self.device)
        self.reset(loaded.length)
        self.objects, self._banks = loaded.objects, loaded.banks
        self._frame_shape, self._network_size = loaded.frame_shape, loaded.network_size
        self.one_group_at_a_time = loaded.one_group_at_a_time

    @cached_property
    def _made_by(self) -> dict[str, Any]:
        return made_by(self.model, self.config)

    def _begin(self, frame: np.ndarray) -> None:
        """The sizes of the video that this is the first frame of."""
        height, width, _ = self._frame_shape = frame.shape
        align = self.config.model.align_corners
        self._network_size = network_size((height, width), self.config.input, align_corners=align)

    def _full_size(self, logits: list[Tensor], size: Size) -> Tensor:
        """Logits B×(M+1)×h×w of all banks to those of all objects at the output size: (1+n)×H×W."""
        ids = self.objects.by_channel
        joined = torch.cat(logits).float()  # a copy, as memory policies read the logits unchanged
        if len(joined) == 1:
            joined = joined[:, : len(ids) + 1]
        if len(joined) > 1 or 0 in ids:
            self.objects.suppress_absent(joined)
        if joined.shape[1] <= FEW_PLANES:
            joined = joined.contiguous()
        align = self.model.config.align_corners
        joined = F.interpolate(joined, size, mode="bilinear", align_corners=align)  # G×(m+1)×H×W
        return joined[0] if len(joined) == 1 else self.objects.fuse(joined)

    def _masks(self, channels: Tensor) -> list[Tensor]:
        """What each bank remembers of a frame's channels H×W: masks B×(m+1)×h×w at the network's size."""
        small = F.interpolate(channels[None, None].float(), self._network_size, mode="nearest")[0, 0]
        objects = len(self.objects.by_channel)
        if objects <= self.model.config.max_objects:
            return [one_hot(small, objects + 1)[None]]
        return self.objects.split(small)

    def _take_mask(self, image: Tensor, mask: np.ndarray, size: Size) -> Prediction:
        """A reference frame; if it fails before memory changes, nothing has; if the first fails, no video has begun."""
        banks, newest, table = list(self._banks), list(map(NEWEST, self._banks)), self.objects.state_dict()
        self._halfway = True
        try:
            with self._autocast:
                prediction = self._refer(self.model.encode(image), mask, size)
        except BaseException:  # whatever the model raises, and Ctrl-C
            tried, self._banks = self.groups, banks
            self.objects.load_state_dict(table)
            self._halfway = newest != list(map(NEWEST, banks))
            if not banks:
                self.reset(self._length)
            self._groups_tried = tried
            raise
        self._halfway = False
        return prediction

    def _track(self, image: Tensor, size: Size) -> Prediction:
        """An ordinary frame; if it fails before memory changes, nothing has."""
        outputs: list[Tensor] = []
        newest, self._halfway = list(map(NEWEST, self._banks)), True

        def feedback(logits: list[Tensor]) -> list[Tensor]:
            full = self._full_size(logits, size)
            outputs.extend((full, self.classify(full) if self.classify else full.max(0).indices))
            return self._masks(outputs[1])

        try:
            with self._autocast:
                advance(self.model, self._banks, self.model.encode(image), feedback)
        except BaseException:  # also Ctrl-C
            self._halfway = newest != list(map(NEWEST, self._banks))
            raise
        self._halfway = False
        if 0 in self.objects.by_channel:
            return Prediction(self.ids, *self.objects.without_forgotten(*outputs))
        return Prediction(tuple(self.objects.by_channel), *outputs)

    def _refer(self, features: Features, mask: np.ndarray, size: Size) -> Prediction:
        """Predict the known objects of a frame, let the mask correct them, and remember the result."""
        predicted = self._predict(features, size) if self.objects.by_channel else None
        given = self.objects.channels_of(mask).to(self.device)
        if predicted is not None:
            given = overrule(predicted, given)
        for _ in range(self.objects.open_batches(one_by_one=self.one_group_at_a_time)):
            self._banks.append(build_bank(self.config.memory, length=self._length))
        for bank, masks in zip(self._banks, self._masks(given), strict=True):
            refer(self.model, bank, features, masks)
        channels = F.interpolate(given[None, None].float(), size, mode="nearest")[0, 0].long()
        certain = one_hot(channels, len(self.objects.by_channel) + 1)  # (1+n)×H×W
        logits = torch.where(certain > 0, 0.0, ABSENT)
        return Prediction(self.ids, *self.objects.without_forgotten(logits, channels))

    def _predict(self, features: Features, size: Size) -> Tensor:
        """Channels H×W of the known objects on a frame, without remembering it."""
        logits = self._full_size(advance(self.model, self._banks, features, lambda logits: None), size)
        return self.classify(logits) if self.classify else logits.max(0).indices
