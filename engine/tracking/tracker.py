"""`Tracker`: frames and masks in, masks out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import replace
from functools import cached_property, partial
from importlib.util import find_spec
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.protocol import Protocol, apply_protocol
from aotlab.configs.schema import Config
from aotlab.engine.memory.bank import MemoryBank, build_bank
from aotlab.engine.prompting.network import NetworkSegmenter
from aotlab.engine.prompting.segmenter import check_prompts, require_pixels
from aotlab.engine.recurrence import FrameReadout, one_hot, propagate_reference, read_memory, write_memory
from aotlab.engine.tracking.cuts import CutDetector
from aotlab.engine.tracking.inputs import (
    FrameLike,
    MaskLike,
    Size,
    convert_frame,
    convert_mask,
    convert_output_size,
)
from aotlab.engine.tracking.objects import (
    ObjectTable,
    Reassignment,
    apply_given_mask,
    find_smallest_area,
    one_hot_logits,
    resize_channels,
    swap_channels,
)
from aotlab.engine.tracking.ownership import ComponentOwnership
from aotlab.engine.tracking.prediction import Prediction
from aotlab.engine.tracking.state import STATES, describe_origin, read_state
from aotlab.engine.tracking.window import (
    FrameWithObjects,
    Window,
    WindowSelector,
    choose_window,
    require_window_support,
)
from aotlab.media.prompt import Prompt
from aotlab.networks import fast
from aotlab.networks.fast import resolve_precision
from aotlab.networks.model import Features, Model, VOSModel
from aotlab.networks.preprocess import network_size, normalise
from aotlab.networks.weights.zoo import load_model
from aotlab.utils.devices import autocast, pick_device
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_json import wrap

log = logging.getLogger(__name__)

MAX_CONTIGUOUS_PLANES = 5
"""largest number of maps that are resized faster plane by plane than channels-last"""


class PredictedFrame(NamedTuple):
    """Masks of a frame as a tracker predicts them, and what it needs to store the frame."""

    features: Features
    readouts: list[FrameReadout]
    """one per bank"""
    logits: Tensor
    """(1+n)×H×W of all objects at the output size"""
    channels: Tensor
    """H×W int64, the most likely channel of each pixel"""
    frame: np.ndarray
    """H×W×3 uint8"""
    moved: list[Reassignment]
    """pixels that a rule reassigned"""
    cut: bool
    """whether it shares nothing with the frame before"""
    window: Window
    """part of the frame in the network, and its size there"""
    banks: list[MemoryBank]
    """memory that was read"""


class FrameTracker:
    """Base of `Tracker` and `Ensemble`: a step predicts a frame's masks without a change, then commits them."""

    device: torch.device
    temperature: float
    """divisor of the logits for `Prediction.confidence`"""
    _frame_shape: tuple[int, ...] | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were given."""
        raise NotImplementedError

    def predict(self, frame: np.ndarray, mask: np.ndarray | None, size: Size) -> Any:
        """Predict the masks of a frame H×W×3 uint8 at ``size``; nothing changes.

        ``mask``: object ids H×W that `commit` will be given; the first one may decide the size in the network.
        """
        raise NotImplementedError

    def commit(self, predicted: Any, mask: np.ndarray | None) -> tuple[Tensor, Tensor]:
        """Store a predicted frame, corrected by a mask of ids H×W if given; return its logits and channels."""
        raise NotImplementedError

    def prompt(self, frame: FrameLike, prompts: Mapping[int, Prompt]) -> Prediction:
        """Segment objects of one frame from prompts by object id; memory is unchanged."""
        raise NotImplementedError

    @property
    def segmenter(self) -> NetworkSegmenter:
        """Segmenter of the model's prompt network."""
        raise NotImplementedError

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
            mask: H×W object ids (bool: object 1); 0: keep the prediction. Later masks may add objects. In an array of 0
                and 255, the object has id 255; for object 1 give ``array > 0``.
            size: (height, width) of the prediction; None: the frame's. Memory stores the prediction in this size, so a
                size far below the frame's makes later frames less accurate.
            prompts: prompts by object id, see `prompt`; their masks count as given ones. They replace those of their
                objects in ``mask`` and take no pixel that it gives to others.

        Raises:
            InputError: unusable input; nothing changes. After a failure in mid-change, only `reset` is accepted.
        """
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.shape != self._frame_shape:
            frame = convert_frame(frame, self._frame_shape)
        size = (frame.shape[0], frame.shape[1]) if size is None else convert_output_size(size)
        if mask is not None:
            mask = convert_mask(mask, frame, required=not self.ids and not prompts)
        if prompts:
            mask = self.segmenter(frame, prompts, keep=mask)
            require_pixels(mask, prompts)
        cut = False
        if mask is None and not self.ids:
            logits = torch.zeros(1, *size, device=self.device)
            channels = logits[0].long()
        else:
            predicted = self.predict(frame, mask, size)
            logits, channels = self.commit(predicted, mask)
            cut = predicted.cut
        self._frame_shape = frame.shape
        return Prediction(self.ids, logits, channels, temperature=self.temperature, cut=cut)


class Tracker(FrameTracker):
    """Tracks any objects through a video, frame by frame.

    It runs an optimised copy of the model, so that later changes of the model do not reach it.

    >>> tracker = Tracker.from_checkpoint("pretrain_models/aott_mini.safetensors")
    >>> tracker.step(first_frame, mask)          # H×W×3 uint8 RGB, H×W object ids
    >>> labels = tracker.step(next_frame).labels
    """

    def __init__(
        self, model: Model, config: Config, *, device: str | torch.device = "cpu", optimize: bool = True
    ) -> None:
        """Create a tracker without objects.

        Args:
            model: a `VOSModel`, which is copied; or an optimised model or exported graphs, which run as they are.
            config: settings of memory, input and computation.
            device: device of the copy.
            optimize: False runs the model itself, moved to ``device``, under autocast: for hooks and comparisons.

        Raises:
            InputError: no such device, ``compute.compile`` without CUDA, or ``input.window`` with other strides.
        """
        self.device, compute = pick_device(str(device)), config.compute
        precision = resolve_precision(compute.precision, self.device)
        self.model: Model = model
        self.autocast = autocast(self.device, "float32")
        if isinstance(model, VOSModel) and optimize:
            self.model = fast.optimize(
                model, device=self.device, precision=precision, compile=compute.compile
            )
        elif isinstance(model, VOSModel):
            self.model = model.to(self.device).eval()
            self.autocast = autocast(self.device, precision)
        if config.input.window:
            require_window_support(config.model)
        if config.rules.ownership and find_spec("cv2") is None:
            config = replace(config, rules=replace(config.rules, ownership=False))
            log.warning("rules.ownership is off, as OpenCV is missing; pip install 'aotlab[video]'")
        self.config = config
        self.temperature = config.confidence_temperature
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
        optimize: bool = True,
        protocol: Protocol = "bounded",
    ) -> Tracker:
        """Load a model and return its tracker; arguments and errors as `load_model`.

        Args:
            path: checkpoint or folder of `save_pretrained`, or a name: ``bundled``, published weights, hf://OWNER/NAME.
            config: preset or file of settings.
            overrides: settings as ``key=value``.
            device: see `Tracker`.
            optimize: see `Tracker`.
            protocol: ``bounded`` for videos of any length: RMem replaces a memory without a bound, unless ``overrides``
                set a memory policy. ``published``: the memory of the paper's benchmarks.
        """
        model, settings = load_model(path, config=config, overrides=overrides)
        bounded = apply_protocol(settings, protocol, overrides)
        if bounded.memory.policy != settings.memory.policy:
            log.warning(
                "%s: memory.policy %s keeps %d frames instead of all as published; set memory.policy=%s to keep all",
                settings.name, bounded.memory.policy, bounded.memory.frames, settings.memory.policy,
            )  # fmt: skip
        log.debug("%s on %s with settings %s", path, device, bounded)
        return cls(model, bounded, device=device, optimize=optimize)

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
        self.ownership = ComponentOwnership() if self.config.rules.ownership else None
        self.cuts = CutDetector() if self.config.rules.cuts else None
        self.window = Window.whole_frame((0, 0), 0)
        """part of the frame in the network; it may be all of it"""
        self.window_selector: WindowSelector | None = None
        """None: the window stays as it is"""
        self._frame_shape: tuple[int, ...] | None = None

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
        if not isinstance(self.model, VOSModel | fast.OptimizedModel):
            raise InputError("tracker: exported graphs have a fixed depth; export with model.depth")
        try:
            self.config = replace(self.config, model=replace(self.model.config, depth=depth))
        except ValueError as error:
            raise InputError(str(error)) from error
        self.model = self.model.at_depth(depth)  # type: ignore[operator]
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

    @property
    def segmenter(self) -> NetworkSegmenter:
        """Segmenter of the model's prompt network; at a prompt it raises InputError if the model has none."""
        return NetworkSegmenter(self.model, self.autocast)

    @torch.inference_mode()
    def prompt(self, frame: FrameLike, prompts: Mapping[int, Prompt]) -> Prediction:
        """Segment objects of one frame from prompts by object id, without overlap; memory is unchanged.

        Raises InputError for an unusable frame, no prompts, a prompt outside the frame, or a model without prompts.
        """
        frame = convert_frame(frame, self._frame_shape)
        prompts = check_prompts(prompts, (frame.shape[0], frame.shape[1]))
        logits = self.segmenter.logits(frame, prompts)
        return Prediction(tuple(prompts), logits, logits.max(0).indices, temperature=self.temperature)

    def predict(self, frame: np.ndarray, mask: np.ndarray | None, size: Size) -> PredictedFrame:
        """Encode a frame, read memory and merge the logits of all groups; as `FrameTracker.predict`."""
        window, banks = self.window, self.banks
        cut = self.cuts is not None and self.cuts.is_cut(frame)
        if not banks:
            window = self._choose_first_window(frame, mask)
        elif not window.covers_frame and (cut or mask is not None):  # objects may be outside of it
            window, banks = window.frame_window, self._rebuild_banks(window.frame_window)
        with self.autocast:
            features = self._encode(frame, window)
            readouts = read_memory(self.model, banks, features, after_cut=cut)
            in_frame = readouts
            if not window.covers_frame:
                in_frame = [readout._replace(logits=window.paste(readout.logits)) for readout in readouts]
            logits, channels = self.merge_logits(in_frame, size)
        moved: list[Reassignment] = []
        if self.ownership is not None and len(self.ids) > 1 and not cut:
            moved = self.ownership.correct(self._labels(channels), frame)
            channels = swap_channels(logits, channels, moved, self.ids)
        return PredictedFrame(features, readouts, logits, channels, frame, moved, cut, window, banks)

    def _choose_first_window(self, frame: np.ndarray, mask: np.ndarray | None) -> Window:
        """Choose the window of the first frame H×W×3 by its mask H×W of ids."""
        align, limits = self.config.model.align_corners, self.config.input
        fit = partial(network_size, frame.shape[:2], limits, align_corners=align)
        whole = Window.whole_frame(fit(), int(align))
        if mask is None:
            return whole
        window = choose_window([FrameWithObjects(frame, mask)], whole) if limits.window else whole
        if window.covers_frame:
            return Window.whole_frame(fit(min_object_area=find_smallest_area(mask)), int(align))
        return window

    def _encode(self, frame: np.ndarray, window: Window) -> Features:
        """Encode the window of a frame H×W×3 uint8."""
        pixels = torch.from_numpy(np.require(frame, requirements=["C", "W"]))
        if self.device.type == "cuda":
            pixels = pixels.pin_memory()  # copied while the GPU computes the frame before
        pixels = pixels.to(self.device, non_blocking=True).permute(2, 0, 1)[None]
        return self.model.encode(normalise(window.resize(pixels)))

    def commit(
        self, predicted: PredictedFrame, mask: np.ndarray | None, *, channels: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Store a predicted frame; as `FrameTracker.commit`. ``channels``: H×W to store instead of the predicted."""
        channels = predicted.channels if channels is None else channels
        by_table, window = self.objects.restore_forgotten(channels), predicted.window
        if mask is None:
            small = resize_channels(by_table, window.size)
            with self.autocast:
                part = small if window.covers_frame else window.crop(small)
                masks = to_one_hot(part, self.objects)
                write_memory(self.model, predicted.banks, predicted.readouts, masks)
            self.banks, self.window = predicted.banks, window
            if self.cuts is not None or self.ownership is not None:
                self._observe(predicted, channels)
            if self.window_selector is not None:
                shown = FrameWithObjects(predicted.frame.copy(), small.short().cpu().numpy())
                active = [object_id > 0 for object_id in self.objects.by_channel]
                self._change_window(self.window_selector.select(window, shown, active))
            return predicted.logits, channels
        objects, banks = deepcopy(self.objects), list(predicted.banks)
        mask_channels = objects.add_objects(mask).to(self.device)
        if banks:
            mask_channels = apply_given_mask(by_table, mask_channels, len(objects.by_channel))
        for _ in range(objects.add_batches(separately=self.one_group_at_a_time)):
            banks.append(build_bank(self.config.memory, length=self._length))
        with self.autocast:
            masks = to_one_hot(window.crop(resize_channels(mask_channels, window.size)), objects)
            references = propagate_reference(self.model, banks, predicted.features, masks)
            write_memory(self.model, banks, references)
        self.objects, self.banks, self.window = objects, banks, window
        self.window_selector = None  # a later mask ends it, as its objects are on no stored frame
        if not predicted.banks and self.config.input.window:
            shown = FrameWithObjects(predicted.frame.copy(), mask_channels.short().cpu().numpy())
            self.window_selector = WindowSelector.start(window, shown, len(objects.by_channel))
        channels = resize_channels(mask_channels, channels.shape)
        logits, channels = objects.remove_forgotten(
            one_hot_logits(channels, len(objects.by_channel)), channels
        )
        self._observe(predicted, channels, [int(object_id) for object_id in np.unique(mask) if object_id])
        return logits, channels

    def _observe(self, predicted: PredictedFrame, channels: Tensor, given: Sequence[int] = ()) -> None:
        """Show the stored channels H×W of a frame to the rules; ``given``: ids of a given mask."""
        if self.cuts is not None:
            self.cuts.observe(predicted.frame)
        if self.ownership is not None and predicted.cut:
            self.ownership.restart()
        if self.ownership is not None and (given or len(self.ids) > 1):
            self.ownership.observe(self._labels(channels), predicted.frame, predicted.moved, given)

    def _change_window(self, window: Window) -> None:
        """Change the window of the next frame: move short-term memory, or fill memory again."""
        old, stages = self.window, self.model.config.stages
        if not old.has_size(window):
            self.banks = self._rebuild_banks(window)
        elif old != window:
            for bank in self.banks:
                bank.map_short_term(lambda tokens, stage: old.shift(tokens, window, stages[stage].stride))
        self.window = window

    def _rebuild_banks(self, window: Window) -> list[MemoryBank]:
        """Return memory of the reference frame and the newest frame in another window; nothing changes."""
        assert self.window_selector is not None
        banks = [build_bank(self.config.memory, length=self._length) for _ in self.banks]
        for index, (frame, part) in enumerate(self.window_selector.list_frames(window)):
            channels = resize_channels(torch.from_numpy(frame.channels).to(self.device), part.size)
            with self.autocast:
                features = self._encode(frame.image, part)
                masks = to_one_hot(part.crop(channels), self.objects)
                if index == 0:
                    references = propagate_reference(self.model, banks, features, masks)
                    write_memory(self.model, banks, references)
                else:
                    readouts = read_memory(self.model, banks, features, after_cut=True)
                    write_memory(self.model, banks, readouts, masks)
        return banks

    def _labels(self, channels: Tensor) -> np.ndarray:
        """Convert channels H×W that count the `ids` to object ids; waits for a GPU."""
        return np.array([0, *self.ids], np.int32)[channels.cpu().numpy()]

    def merge_logits(self, readouts: Sequence[FrameReadout], size: Size) -> tuple[Tensor, Tensor]:
        """Merge the logits of all banks.

        Returns:
            Logits (1+n)×H×W of all objects at the output size, and the most likely channel per pixel, H×W int64.
        """
        if not readouts:
            logits = torch.zeros(1, *size, device=self.device)
            return logits, logits[0].long()
        object_ids = self.objects.by_channel  # 0 for a forgotten object
        by_bank = [readout.logits for readout in readouts]
        logits = torch.cat(by_bank).float()  # a copy, as memory policies read the logits unchanged
        if len(logits) == 1:
            logits = logits[:, : len(object_ids) + 1]
        if len(logits) > 1 or 0 in object_ids:
            self.objects.suppress_absent(logits)
        if logits.shape[1] <= MAX_CONTIGUOUS_PLANES:
            logits = logits.contiguous()
        align = self.model.config.align_corners
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=align)  # G×(m+1)×H×W
        logits = logits[0] if len(logits) == 1 else self.objects.fuse(logits)
        # many times faster than argmax on CPUs
        return self.objects.remove_forgotten(logits, logits.max(0).indices)

    def forget(self, object_id: int) -> None:
        """Stop tracking an object: it has no pixel from the next frame on, and its id may be given again.

        Its identity stays taken, as frames in memory show it, until all objects of its bank are forgotten.

        Raises:
            InputError: no such object is tracked.
        """
        if not np.isscalar(object_id) or object_id not in self.ids:
            raise InputError(f"forget: object {object_id!r} is not tracked; give one of {list(self.ids)}")
        if self.groups > 1:  # may remove a batch, which the stored frames show
            self._change_window(self.window.frame_window)
            self.window_selector = None
        empty = self.objects.forget(object_id)
        if empty is not None:
            del self.banks[empty]
        if self.ownership is not None:
            self.ownership.forget(object_id)
        if not self.banks:
            self.window_selector = None

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
            "window": self.window.to_list(),
            "banks": [bank.state_dict(views=views) for bank in self.banks],
            "ownership": None if self.ownership is None else self.ownership.state_dict(),
            "window_selector": None if self.window_selector is None else self.window_selector.state_dict(),
            "cuts": None if self.cuts is None else self.cuts.state_dict(),
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
        self._frame_shape, self.window = loaded.frame_shape, loaded.window
        self.one_group_at_a_time = loaded.one_group_at_a_time
        self.ownership, self.cuts, self.window_selector = (
            loaded.ownership,
            loaded.cuts,
            loaded.window_selector,
        )

    @cached_property
    def _made_by(self) -> dict[str, Any]:
        return describe_origin(self.model, self.config)


def to_one_hot(channels: Tensor, objects: ObjectTable) -> list[Tensor]:
    """Convert channels H×W to the masks of each batch of ``objects``, B×(m+1)×H×W."""
    count = len(objects.by_channel)
    return [one_hot(channels, count + 1)[None]] if count <= objects.identities else objects.split(channels)
