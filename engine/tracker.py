"""`Tracker`: frames and masks in, masks out. The public face of the framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import normalize

from aotlab.configs.schema import Config
from aotlab.dataloaders.preprocess import IMAGE_MEAN, IMAGE_STD, network_size
from aotlab.engine.advance import advance, one_hot, refer
from aotlab.engine.groups import fuse, group_masks
from aotlab.engine.memory import MemoryBank
from aotlab.engine.objects import drop_forgotten, overrule, without_forgotten
from aotlab.engine.policies import build_policy
from aotlab.engine.tracker_state import restore, state_of
from aotlab.networks.checkpoints import load_checkpoint
from aotlab.networks.vos_model import Features, VOSModel
from aotlab.utils.devices import AUTOCAST, pick_device
from aotlab.utils.errors import InputError

BUNDLED_CHECKPOINT = Path(__file__).resolve().parents[1] / "pretrain_models" / "aott_mini.safetensors"
"""the model that ships with the project"""
UNUSED = -1e10
"""logit of identities that no object has"""

Size = tuple[int, int]
"""(height, width) in pixels"""
Choice = Callable[[Tensor], Tensor]
"""From logits (1+n)×H×W to the places H×W int64 that are remembered for them."""


@dataclass(frozen=True)
class Prediction:
    """What the tracker says about one frame."""

    ids: tuple[int, ...]
    """all objects tracked so far, in the order they were given, without forgotten ones"""
    logits: Tensor
    """(1+n)×H×W, background and then the objects in the order of ``ids``"""
    places: Tensor
    """H×W int64, the most likely of the logits in every pixel"""

    @cached_property
    def labels(self) -> np.ndarray:
        """H×W object ids, 0 is background; unsigned integers as wide as the largest id needs."""
        table = np.array([0, *self.ids])
        table = table.astype(np.min_scalar_type(int(table.max())))
        return table[self.places.cpu().numpy()]

    @cached_property
    def probabilities(self) -> Tensor:
        """(1+n)×H×W floats that add up to 1 in every pixel, in the order of `logits`."""
        return self.logits.softmax(0)

    @cached_property
    def confidence(self) -> dict[int, float]:
        """Mean probability of each object over its own pixels, in [0, 1]; 0 where it has none."""
        chosen = self.places.flatten()
        own = self.probabilities.gather(0, self.places[None]).flatten()
        sums = torch.zeros(len(self.logits), device=chosen.device).scatter_add_(0, chosen, own)
        counts = torch.bincount(chosen, minlength=len(self.logits)).clamp(min=1)
        return dict(zip(self.ids, (sums / counts)[1:].tolist(), strict=True))


class Tracker:
    """Tracks any objects through a video, frame by frame.

    >>> tracker = Tracker.from_checkpoint("pretrain_models/aott_mini.safetensors")
    >>> tracker.step(first_frame, mask)          # H×W×3 uint8 RGB, H×W object ids
    >>> labels = tracker.step(next_frame).labels
    """

    def __init__(self, model: VOSModel, config: Config, *, device: str | torch.device = "cpu") -> None:
        self.device = pick_device(str(device))
        self.model = model.to(self.device).eval().folded()
        if config.compute.compile:
            self.model.compile_parts()
        precision = AUTOCAST.get(config.compute.precision)
        self._autocast = torch.autocast(self.device.type, precision, enabled=precision is not None)
        self.config = config
        self.choose: Choice | None = None
        """what is remembered of a frame's logits, for trackers that decide together; None: the most likely, by
        `max`, which is many times faster on CPUs than argmax"""
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
    ) -> Tracker:
        """Load a model and make a tracker of it; arguments and errors as `load_checkpoint`."""
        model, settings = load_checkpoint(Path(path), config=config, overrides=overrides)
        return cls(model, settings, device=device)

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames, for the next video, which has ``length`` frames if that is known."""
        self._length = length
        self._ids: list[int] = []  # of the places from 1 on; 0 for an object that was forgotten
        # Groups of objects whose memories began on the same frame share a bank and are one batch.
        self._banks: list[MemoryBank] = []
        self._groups: list[range] = []
        self._frame_size: Size | None = None
        self._network_size: Size = (0, 0)

    @property
    def ids(self) -> tuple[int, ...]:
        """Objects tracked so far, in the order they were given, without forgotten ones."""
        return tuple(number for number in self._ids if number)

    @property
    def groups(self) -> int:
        """How many groups of `max_objects` these objects fill."""
        return self._groups[-1].stop if self._groups else 0

    @torch.inference_mode()
    def step(
        self, frame: np.ndarray, mask: np.ndarray | None = None, *, size: Size | None = None
    ) -> Prediction:
        """Track all objects to the next frame; returns its masks, all background before the first one is given.

        Args:
            frame: H×W×3 uint8 RGB.
            mask: H×W object ids (bool: object 1), 0 for "nothing said here"; later ones bring new objects or masks.
            size: (height, width) of the prediction; the frame's own when not given.

        Raises:
            InputError: a frame of another size than the first, a mask of another size, a first mask without object.
        """
        if frame.shape != (*(self._frame_size or ()), 3) or frame.dtype != np.uint8:
            self._begin(frame)
        size = size or (frame.shape[0], frame.shape[1])
        given = mask is not None and bool(mask.any())
        if not self._ids and not given:
            if mask is not None:
                raise InputError("mask: holds no object; give ids above 0 where the objects are")
            return Prediction((), torch.zeros(1, *size), torch.zeros(size, dtype=torch.long))
        image = torch.from_numpy(np.ascontiguousarray(frame)).to(self.device).permute(2, 0, 1)[None] / 255
        image = F.interpolate(image, self._network_size, mode="bicubic", align_corners=False)
        image = normalize(image, list(IMAGE_MEAN), list(IMAGE_STD))
        if given:
            with self._autocast:
                return self._take_mask(self.model.encode(image), np.asarray(mask), size)
        outputs: list[Tensor] = []

        def feedback(logits: list[Tensor]) -> list[Tensor]:
            full = self._full_size(logits, size)
            outputs.extend((full, self.choose(full) if self.choose else full.max(0).indices))
            return self._masks(outputs[1])

        with self._autocast:
            advance(self.model, self._banks, self.model.encode(image), feedback)
        if 0 in self._ids:
            return Prediction(self.ids, *without_forgotten(self._ids, *outputs))
        return Prediction(tuple(self._ids), *outputs)

    def forget(self, number: int) -> None:
        """Track an object no longer: from the next frame on it has no pixel, and its id may be given anew.

        Frames in memory still show it, so its identity goes to no other object; once all objects of a bank are
        forgotten, the bank goes with its memory, and its identities are free.

        Raises:
            InputError: no such object is tracked.
        """
        if number not in self.ids:
            raise InputError(f"forget: object {number} is not tracked; give one of {list(self.ids)}")
        self._ids[self._ids.index(number)] = 0
        drop_forgotten(self._ids, self._banks, self._groups, self.model.config.max_objects)

    def state_dict(self) -> dict[str, Any]:
        """All that a tracker of the same model needs to go on with this video, as `torch.save` takes it.

        Tensors are views of this tracker's memory, which its next step may overwrite: save before it.
        """
        return state_of(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the video of the tracker that gave this state (`torch.load` with ``weights_only`` reads it).

        Raises:
            InputError: the state is of a tracker with other settings.
        """
        restore(self, state)

    def _begin(self, frame: np.ndarray) -> None:
        """Check the first frame and fix the sizes of this video."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise InputError(f"frame: expected H×W×3 uint8 RGB, got {frame.dtype} of shape {frame.shape}")
        height, width = frame.shape[:2]
        if self._frame_size is not None:
            raise InputError(
                f"frame: {width}×{height}, but the video began with {self._frame_size[1]}×{self._frame_size[0]}; "
                "call reset() for a new video"
            )
        limits = self.config.input
        self._frame_size = (height, width)
        self._network_size = network_size(
            (height, width), align_corners=self.config.model.align_corners, scale=limits.scale,
            max_long_edge=limits.max_long_edge, max_short_edge=limits.max_short_edge,
        )  # fmt: skip

    def _full_size(self, logits: list[Tensor], size: Size) -> Tensor:
        """Logits of all objects at the output size: (1+n)×H×W."""
        identities = self.model.config.max_objects
        joined = torch.cat(logits).float()  # a copy, as memory policies look at the logits as they are
        if len(joined) == 1:
            joined = joined[:, : len(self._ids) + 1]
        else:
            joined[-1, len(self._ids) - identities * (len(joined) - 1) + 1 :] = UNUSED
        for place, number in enumerate(self._ids):
            if not number:
                joined[place // identities, place % identities + 1] = UNUSED
        align = self.model.config.align_corners
        joined = F.interpolate(joined, size, mode="bilinear", align_corners=align)
        return joined[0] if len(joined) == 1 else fuse(joined)[: len(self._ids) + 1]

    def _masks(self, labels: Tensor) -> list[Tensor]:
        """What each bank remembers of H×W labels (object k of ``ids`` is k, from 1), at the network's size."""
        small = F.interpolate(labels[None, None].float(), self._network_size, mode="nearest")[0, 0]
        if len(self._ids) <= self.model.config.max_objects:
            return [one_hot(small, len(self._ids) + 1)[None]]
        identities = self.model.config.max_objects
        return [group_masks(small, groups, identities) for groups in self._groups]

    def _take_mask(self, features: Features, mask: np.ndarray, size: Size) -> Prediction:
        """A reference frame: predict what is known, let the given mask rule, and remember the whole."""
        mask = mask.astype(np.uint8) if mask.dtype == bool else mask
        if mask.shape != self._frame_size:
            raise InputError(
                f"mask: of shape {mask.shape}, but its frame is {self._frame_size}; give one of its size"
            )
        if not np.issubdtype(mask.dtype, np.integer) or mask.min() < 0:
            raise InputError(f"mask: expected object ids of 0 and above, got {mask.dtype} from {mask.min()}")
        first = not self._ids
        old = None if first else self._expect(features, size)
        given = self.places_of(mask)
        if old is not None:
            given = overrule(old, given)
        self._open_groups()
        for bank, masks in zip(self._banks, self._masks(given), strict=True):
            refer(self.model, bank, features, masks)
        final = F.interpolate(given[None, None].float(), size, mode="nearest")[0, 0].long()
        certain = one_hot(final, len(self._ids) + 1)
        logits = torch.where(certain > 0, 0.0, UNUSED)
        return Prediction(self.ids, *without_forgotten(self._ids, logits, final))

    def _expect(self, features: Features, size: Size) -> Tensor:
        """Places H×W of the known objects on a frame, without remembering it."""
        logits = self._full_size(advance(self.model, self._banks, features, lambda logits: None), size)
        return self.choose(logits) if self.choose else logits.max(0).indices

    def places_of(self, mask: np.ndarray) -> Tensor:
        """Places 0 to n of a mask of object ids; ids not seen before join the end, in ascending order."""
        present, inverse = np.unique(mask, return_inverse=True)
        self._ids += [int(number) for number in present if number and int(number) not in self._ids]
        places = {**{number: place for place, number in enumerate(self._ids, start=1)}, 0: 0}
        table = np.array([places.get(int(number), 0) for number in present])
        return torch.from_numpy(table[inverse.reshape(mask.shape)]).to(self.device)

    def _open_groups(self) -> None:
        """Make a bank for groups that have none yet."""
        have = self.groups
        need = -(-len(self._ids) // self.model.config.max_objects)
        if need > have:
            memory = self.config.memory
            step = 1 if self.one_group_at_a_time else need - have
            for start in range(have, need, step):
                policy = build_policy(memory, length=self._length)
                bank = MemoryBank(policy, memory.short_term_skip, memory.short_term_frames)
                self._banks.append(bank)
                self._groups.append(range(start, start + step))
