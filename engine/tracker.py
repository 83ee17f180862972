"""`Tracker`: frames and masks in, masks out. The public face of the framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import normalize

from configs.schema import Config
from dataloaders.preprocess import IMAGE_MEAN, IMAGE_STD, network_size
from engine.advance import advance, one_hot, refer
from engine.groups import fuse, group_masks
from engine.memory import MemoryBank
from engine.policies import build_policy
from networks.checkpoints import load_checkpoint
from networks.vos_model import Features, VOSModel
from utils.devices import pick_device
from utils.errors import InputError

BUNDLED_CHECKPOINT = Path(__file__).resolve().parents[1] / "pretrain_models" / "aott_mini.safetensors"
"""the model that ships with the project"""
UNUSED = -1e10
"""logit of identities that no object has"""

Size = tuple[int, int]
"""(height, width) in pixels"""


@dataclass(frozen=True)
class Prediction:
    """What the tracker says about one frame."""

    ids: tuple[int, ...]
    """all objects tracked so far, in the order they were given"""
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
        self.model = model.to(self.device).eval()
        self.config = config
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
        self._ids: list[int] = []
        # Groups of objects whose memories began on the same frame share a bank and are one batch.
        self._banks: list[MemoryBank] = []
        self._groups: list[range] = []
        self._frame_size: Size | None = None
        self._network_size: Size = (0, 0)

    @property
    def ids(self) -> tuple[int, ...]:
        """Objects tracked so far, in the order they were given."""
        return tuple(self._ids)

    @torch.inference_mode()
    def step(
        self, frame: np.ndarray, mask: np.ndarray | None = None, *, size: Size | None = None
    ) -> Prediction:
        """Track all objects to the next frame.

        Args:
            frame: H×W×3 uint8 RGB.
            mask: H×W object ids of any size and order (or bool, for one object), 0 for "nothing said here". The
                first holds the objects to track; later ones new objects, or new masks for known ones.
            size: (height, width) of the prediction; the frame's own when not given.

        Returns:
            Masks at ``size``. Before the first mask all is background.

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
        features = self.model.encode(normalize(image, list(IMAGE_MEAN), list(IMAGE_STD)))
        if given:
            return self._take_mask(features, np.asarray(mask), size)
        outputs: list[Tensor] = []

        def feedback(logits: list[Tensor]) -> list[Tensor]:
            full = self._full_size(logits, size)
            outputs.extend((full, full.max(0).indices))  # many times faster on CPUs than argmax
            return self._masks(outputs[1])

        advance(self.model, self._banks, features, feedback)
        return Prediction(tuple(self._ids), *outputs)

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
        joined = torch.cat(logits)  # a copy, as memory policies look at the logits as they are
        if len(joined) == 1:
            joined = joined[:, : len(self._ids) + 1]
        else:
            joined[-1, len(self._ids) - identities * (len(joined) - 1) + 1 :] = UNUSED
        align = self.model.config.align_corners
        joined = F.interpolate(joined.float(), size, mode="bilinear", align_corners=align)
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
        old = None if first else self._full_size(self._peek(features), size).max(0).indices
        given = self._slots(mask)
        if old is not None:
            given = F.interpolate(given[None, None].float(), size, mode="nearest")[0, 0].long()
            corrected = torch.isin(old, given[given > 0].unique())
            given = torch.where(given > 0, given, torch.where(corrected, 0, old))
        self._open_groups()
        for bank, masks in zip(self._banks, self._masks(given), strict=True):
            refer(self.model, bank, features, masks)
        final = F.interpolate(given[None, None].float(), size, mode="nearest")[0, 0].long()
        certain = one_hot(final, len(self._ids) + 1)
        return Prediction(tuple(self._ids), torch.where(certain > 0, 0.0, UNUSED), final)

    def _peek(self, features: Features) -> list[Tensor]:
        """Each bank's logits on a frame, without remembering it."""
        return advance(self.model, self._banks, features, lambda logits: None)

    def _slots(self, mask: np.ndarray) -> Tensor:
        """Labels 0 to n of a mask of object ids; ids not seen before join the end, in ascending order."""
        present, inverse = np.unique(mask, return_inverse=True)
        self._ids += [int(number) for number in present if number and int(number) not in self._ids]
        places = {number: place for place, number in enumerate(self._ids, start=1)}
        table = np.array([places.get(int(number), 0) for number in present])
        return torch.from_numpy(table[inverse.reshape(mask.shape)]).to(self.device)

    def _open_groups(self) -> None:
        """Make a bank for groups that have none yet."""
        have = self._groups[-1].stop if self._groups else 0
        need = -(-len(self._ids) // self.model.config.max_objects)
        if need > have:
            memory = self.config.memory
            policy = build_policy(memory, length=self._length)
            bank = MemoryBank(policy, memory.short_term_skip, memory.short_term_frames)
            self._banks.append(bank)
            self._groups.append(range(have, need))
