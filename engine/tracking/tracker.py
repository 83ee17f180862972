"""`Tracker`: frames and masks in, masks out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import replace
from functools import cached_property, partial
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.protocol import MemoryProtocol, apply_protocol
from aotlab.configs.schema import Config
from aotlab.engine.memory.policies import build_bank
from aotlab.engine.prompting.network import NetworkSegmenter
from aotlab.engine.prompting.segmenter import check_prompts, require_pixels
from aotlab.engine.recurrence import encode_memory, encode_reference, segment_frame, store_memory
from aotlab.engine.rules.rules import Rules, drop_unavailable_rules, swap_logits
from aotlab.engine.tracking.groups import (
    add_objects,
    find_smallest_area,
    find_vanished_ids,
    forget_object,
    list_tracked_ids,
    mask_to_indices,
    merge_logits,
    one_hot_logits,
    overwrite_with_mask,
    resize_indices,
    split_by_group,
)
from aotlab.engine.tracking.inputs import (
    FrameLike,
    ImageSize,
    MaskLike,
    convert_frame,
    convert_mask,
    convert_output_size,
)
from aotlab.engine.tracking.prediction import PredictedFrame, Prediction
from aotlab.engine.tracking.state import (
    TRACKER_STATE,
    VideoState,
    fingerprint_model,
    unwrap_state,
    wrap_state,
)
from aotlab.media.prompt import Prompt
from aotlab.networks.fast.optimize import place_model
from aotlab.networks.model import Features, VOSModel
from aotlab.networks.preprocess import network_size, normalize
from aotlab.networks.weights.zoo import load_model, resolve_checkpoint
from aotlab.utils.devices import autocast, pick_device
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import sha256
from aotlab.utils.versioned_files import reading_kind

log = logging.getLogger(__name__)


class Tracker:
    """Tracks objects through a video, frame by frame, in one thread at a time.

    It runs an optimized copy of the model; later changes to the model do not affect it, unless ``optimize`` is False.

    >>> tracker = Tracker.from_pretrained()
    >>> tracker.step(first_frame, mask)          # H×W×3 uint8 RGB, H×W object ids
    >>> labels = tracker.step(next_frame).labels
    """

    def __init__(
        self, model: VOSModel, config: Config, *, device: str | torch.device = "cpu", optimize: bool = True
    ) -> None:
        """Create a tracker without objects.

        Args:
            model: is copied; an optimized model runs as it is.
            config: settings; ``config.model`` is replaced by the model's. Memory follows its policy, which may keep
                more frames the longer the video is; `from_pretrained` bounds it.
            device: device of the copy, or of an optimized model.
            optimize: False runs the model itself, moved to ``device``, under autocast: for hooks and comparisons.

        Raises:
            InputError: no such device.
        """
        self.device = pick_device(str(device))
        self.model, precision = place_model(model, config.compute, self.device, fuse=optimize)
        self.autocast = partial(autocast, self.device, precision)
        rules = drop_unavailable_rules(config.rules)
        if rules != config.rules:
            log.warning("rules.ownership is off, as OpenCV is missing; pip install 'aotlab[video]'")
        self.config = replace(config, model=model.config, rules=rules)
        self.max_objects = model.config.max_objects
        self.temperature = config.confidence_temperature
        """divisor of the logits for `Prediction.confidence`"""
        self.checkpoint_digest: str | None = None
        """SHA-256 of the checkpoint's file; None: the model is not from a file"""
        self.reset()

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path | None = None,
        *,
        config: str | None = None,
        overrides: Sequence[str] = (),
        device: str | torch.device = "cpu",
        optimize: bool = True,
        protocol: MemoryProtocol = "bounded",
    ) -> Tracker:
        """Load a model and return its tracker.

        Args:
            checkpoint: file, folder of `save_pretrained`, hf://OWNER/NAME, or name of published weights; None: the
                bundled model.
            config: preset or file of settings; None: the checkpoint's.
            overrides: settings as ``key=value``; a single string is accepted.
            device: see `Tracker`.
            optimize: see `Tracker`.
            protocol: ``bounded`` for videos of any length: replaces memory policies without a bound, as
                `apply_protocol`. ``published``: the memory of the paper's benchmarks.

        Raises:
            InputError: as `load_model` and `Tracker`.
        """
        overrides = (overrides,) if isinstance(overrides, str) else overrides
        file = resolve_checkpoint(BUNDLED_CHECKPOINT if checkpoint is None else checkpoint)
        model, settings = load_model(file, config=config, overrides=overrides)
        bounded = apply_protocol(settings, protocol, overrides)
        if settings.memory.policy == "every_nth" and bounded.memory.policy != "every_nth":
            log.warning(
                "%s: memory.policy %s keeps %d frames instead of all as published; set memory.policy=%s to keep all",
                settings.name, bounded.memory.policy, bounded.memory.frames, settings.memory.policy,
            )  # fmt: skip
        log.debug("%s on %s with settings %s", file, device, bounded)
        tracker = cls(model, bounded, device=device, optimize=optimize)
        tracker.checkpoint_digest = sha256(file)
        return tracker

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames before the next video; ``length``: its number of frames, if known.

        Raises:
            InputError: not a number of frames; the tracker is unchanged.
        """
        require(
            length is None or (isinstance(length, Integral) and length > 0 and length is not True),
            f"reset: length {length!r}: give a number of frames from 1 on, or None",
        )
        self.video = VideoState(None if length is None else int(length), Rules(self.config.rules))
        self.segmenter = NetworkSegmenter(self.model, self.autocast)
        """segmenter of the model's prompt network; a call raises `InputError` for models without one"""

    def fresh(self) -> Tracker:
        """Return another tracker of the same model and settings, without objects or frames."""
        other = copy(self)
        other.reset()
        return other

    def set_depth(self, depth: int) -> None:
        """Use the first ``depth`` blocks of a scalable model (AOST), and reset.

        Raises:
            InputError: deeper than trained, or another kind of model.
        """
        self.model = self.model.at_depth(depth)
        self.config = replace(self.config, model=self.model.config)
        self.__dict__.pop("fingerprint", None)  # states depend on the depth
        self.reset(self.video.length)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were given."""
        return list_tracked_ids(self.video.groups)

    @torch.inference_mode()
    def step(
        self,
        frame: FrameLike,
        mask: MaskLike | None = None,
        *,
        size: ImageSize | None = None,
        prompts: Mapping[int, Prompt] | None = None,
    ) -> Prediction:
        """Track all objects to the next frame and return its masks; all background before the first mask.

        Args:
            frame: H×W×3 uint8 RGB, as an array, PIL image or tensor.
            mask: H×W object ids (bool: object 1); where it is 0, the predicted pixels of other objects are kept. Later
                masks may add objects. A 0/255 mask means id 255; pass ``mask > 0`` for id 1.
            size: (height, width) of the prediction; None: the frame's. Masks for memory are made in this size, or in
                the frame's if that is larger, before they are resized for the network.
            prompts: prompts by object id, see `prompt`; their masks are treated as given. They replace the pixels of
                their objects in ``mask`` and take no pixel of its other objects.

        Raises:
            InputError: unusable input; the tracker is unchanged. After a failure while updating memory, only `reset`
                and `load_state_dict` make it usable again.
        """
        frame, mask, size = self.prepare(frame, mask, size, prompts)
        if mask is None and not self.ids:
            self.video.frame_shape = frame.shape
            logits = torch.zeros(1, *size, device=self.device)
            return Prediction((), logits, logits[0].long(), temperature=self.temperature)
        prediction = self.commit(self.predict(frame, mask, size), mask)
        return prediction.resize(size, align_corners=self.model.config.align_corners)

    def prepare(
        self,
        frame: FrameLike,
        mask: MaskLike | None,
        size: ImageSize | None,
        prompts: Mapping[int, Prompt] | None,
    ) -> tuple[np.ndarray, np.ndarray | None, ImageSize]:
        """Return frame, mask with the objects of prompts, and output size for `predict`; arguments as `step`.

        Raises:
            InputError: unusable input, or an unusable tracker.
        """
        self.require_usable()
        frame = convert_frame(frame, self.video.frame_shape)
        size = (frame.shape[0], frame.shape[1]) if size is None else convert_output_size(size)
        if mask is not None:
            mask = convert_mask(mask, frame, required=not self.ids and not prompts)
        if prompts:
            mask = self.segmenter(frame, prompts, keep=mask)
            require_pixels(mask, prompts)
        return frame, mask, size

    def require_usable(self, revision: int | None = None) -> None:
        """Raise `InputError` while a frame is being stored or after that failed, or if ``revision`` is outdated.

        A step that fails before its first change of memory changes nothing, and can be repeated.
        """
        if not self.video.consistent or revision not in (None, self.video.revision):
            raise InputError(
                "tracker: a step failed while updating memory, or another thread has changed the tracker; call reset() "
                "or load_state_dict(), and use one tracker per thread (fresh())"
            )

    def is_cut(self, frame: np.ndarray) -> bool:
        """Return whether a frame H×W×3 uint8 follows a cut after the last stored one; False without ``rules.cuts``."""
        return self.video.rules.inspect(frame).cut

    @torch.inference_mode()
    def predict(self, frame: np.ndarray, mask: np.ndarray | None, size: ImageSize) -> PredictedFrame:
        """Predict the masks of a frame H×W×3 uint8 at a size (height, width), the frame's at least; nothing changes.

        ``mask``: given mask H×W of the frame; the first mask decides the network's input size.
        """
        video = self.video
        revision = video.revision  # another thread may commit meanwhile
        if size[0] < frame.shape[0] or size[1] < frame.shape[1]:
            size = (frame.shape[0], frame.shape[1])
        rule_result = video.rules.inspect(frame)
        input_size = video.input_size or self._choose_input_size(frame, mask)
        with self.autocast():
            features = self._encode(frame, input_size)
            decoded_frames = [
                segment_frame(self.model, group.memory, features, short_term=not rule_result.cut)
                for group in video.groups
            ]
            logits = torch.zeros(1, *size, device=self.device)
            if video.groups:
                group_logits = [decoded.logits for decoded in decoded_frames]
                align_corners = self.model.config.align_corners
                logits = merge_logits(video.groups, group_logits, size, align_corners=align_corners)
            indices = logits.max(0).indices  # faster than argmax on CPUs
            rule_result = video.rules.correct(rule_result, frame, indices, self.ids)
            if rule_result.reassigned:
                logits, indices = swap_logits(logits, indices, rule_result.reassigned, self.ids)
        return PredictedFrame(
            revision=revision, frame=frame, input_size=input_size, features=features,
            decoded_frames=decoded_frames, logits=logits, indices=indices, rule_result=rule_result,
        )  # fmt: skip

    @torch.inference_mode()
    def commit(self, predicted: PredictedFrame, mask: np.ndarray | None) -> Prediction:
        """Store a predicted frame, corrected by a mask of ids H×W if given; return its final prediction.

        Raises:
            InputError: the tracker changed since the prediction, or an update of memory failed.
        """
        self.require_usable(predicted.revision)
        with self.autocast():
            return self._store_tracked(predicted) if mask is None else self._store_reference(predicted, mask)

    def _store_tracked(self, predicted: PredictedFrame) -> Prediction:
        """Store a frame with its predicted masks."""
        groups, frames = self.video.groups, predicted.decoded_frames
        masks = split_by_group(groups, predicted.indices, predicted.input_size, self.max_objects)
        memories = [encode_memory(self.model, *pair) for pair in zip(frames, masks, strict=True)]
        with self.video.updating():
            for group, decoded, memory in zip(groups, frames, memories, strict=True):
                if predicted.rule_result.cut:
                    group.memory.clear_short_term()
                store_memory(self.model, group.memory, decoded, memory)
            return self._finish(predicted, predicted.logits, predicted.indices)

    def _store_reference(self, predicted: PredictedFrame, mask: np.ndarray) -> Prediction:
        """Store a frame with a given mask, which may add objects."""
        video, size = self.video, predicted.input_size
        given = [object_id for object_id in np.unique(mask).tolist() if object_id]
        for object_id in find_vanished_ids(mask, given, size):
            log.warning(
                "object %d: too small to be tracked; give a larger mask, or scale the input", object_id
            )
        build = partial(build_bank, self.config.memory, length=video.length)
        groups = add_objects(video.groups, given, self.max_objects, build)
        ids = list_tracked_ids(groups)
        indices = mask_to_indices(mask, ids).to(self.device)
        if video.groups:
            indices = overwrite_with_mask(predicted.indices, indices, len(ids))
        masks = split_by_group(groups, indices, size, self.max_objects)
        memories = [encode_reference(self.model, predicted.features, planes)[1] for planes in masks]
        indices = resize_indices(indices, predicted.indices.shape)
        with video.updating():
            for group, memory in zip(groups, memories, strict=True):
                group.memory.add_reference(memory)
            video.groups, video.input_size = groups, size
            return self._finish(predicted, one_hot_logits(indices, len(ids)), indices, given)

    def _finish(
        self, predicted: PredictedFrame, logits: Tensor, indices: Tensor, given: Sequence[int] = ()
    ) -> Prediction:
        """Let the rules observe a stored frame; return its final prediction. ``given``: ids of a given mask."""
        video, result = self.video, predicted.rule_result
        video.rules.observe(result, predicted.frame, indices, self.ids, given)
        video.frame_shape = predicted.frame.shape
        return Prediction(self.ids, logits, indices, temperature=self.temperature, cut=result.cut)

    def _choose_input_size(self, frame: np.ndarray, mask: np.ndarray | None) -> ImageSize:
        """Return the network's input size (height, width), chosen from the first frame H×W×3 and mask H×W."""
        return network_size(
            (frame.shape[0], frame.shape[1]),
            self.config.input,
            align_corners=self.config.model.align_corners,
            min_object_area=None if mask is None else find_smallest_area(mask),
        )

    def _encode(self, frame: np.ndarray, input_size: ImageSize) -> Features:
        """Encode a frame H×W×3 uint8, resized as the published code does."""
        pixels = torch.from_numpy(np.require(frame, requirements=["C", "W"]))
        if self.device.type == "cuda":
            pixels = pixels.pin_memory()  # copied while the GPU computes the frame before
        pixels = pixels.to(self.device, non_blocking=True).permute(2, 0, 1)[None]
        image = F.interpolate(pixels.float() / 255, input_size, mode="bicubic")
        return self.model.encode(normalize(image))

    @torch.inference_mode()
    def prompt(self, frame: FrameLike, prompts: Mapping[int, Prompt]) -> Prediction:
        """Segment objects of one frame from prompts by object id, without overlap; memory is unchanged.

        Raises InputError for an unusable frame, no prompts, a prompt outside the frame, or a model without prompts.
        """
        frame = convert_frame(frame, self.video.frame_shape)
        prompts = check_prompts(prompts, (frame.shape[0], frame.shape[1]))
        logits = self.segmenter.logits(frame, prompts)
        return Prediction(tuple(prompts), logits, logits.max(0).indices, temperature=self.temperature)

    def forget(self, object_id: int) -> None:
        """Stop tracking an object that has left the scene: it has no pixel from the next frame on.

        While it is visible, its pixels go to the next likely object. Its id may be given again.

        Its identity remains reserved, because stored frames still contain it, until all objects of its group are
        forgotten.

        Raises:
            InputError: not an integer, or no such object is tracked; the tracker is unchanged after any failure.
        """
        is_integer = isinstance(object_id, Integral) and not isinstance(object_id, bool)
        require(
            is_integer and object_id in self.ids,
            f"forget: object {object_id!r} is not tracked; choose one of {list(self.ids)} as an integer",
        )
        self.require_usable()
        video = self.video
        groups, rules = forget_object(video.groups, int(object_id)), deepcopy(video.rules)
        rules.forget(int(object_id))
        if groups:
            self.video = replace(video, groups=groups, rules=rules, revision=video.revision + 1)
        else:  # the next mask begins like the first one
            restarted = VideoState(video.length, Rules(self.config.rules))
            self.video = replace(restarted, frame_shape=video.frame_shape, revision=video.revision + 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the state with which a tracker of the same model resumes this video, for `torch.save`.

        Raises:
            InputError: a step failed while it updated memory.
        """
        self.require_usable()
        return wrap_state(self.video.state_dict(), self.fingerprint)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume the video of a `state_dict` (`torch.load` with ``weights_only`` reads it).

        Raises:
            InputError: a state of other weights or settings, or damaged; the tracker is unchanged.
        """
        content = unwrap_state(state, self.fingerprint)
        with reading_kind("tracker state", TRACKER_STATE):
            self.video = VideoState.from_state_dict(content, self.config, self.device)

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Checksum of the weights, and the settings, that states and results depend on."""
        return fingerprint_model(self.model, self.config)
