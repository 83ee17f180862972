"""`Tracker`: frames and masks in, masks out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, replace
from functools import cache, partial
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
from aotlab.engine.memory.bank import build_bank
from aotlab.engine.prompting.network import NetworkSegmenter, prepare_network
from aotlab.engine.prompting.segmenter import check_prompts, has_prompts, require_pixels
from aotlab.engine.recurrence import segment_frame, store_memory
from aotlab.engine.rules.rules import TrackerRules, drop_unavailable_rules, swap_logits
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
from aotlab.engine.tracking.state import TRACKER_STATE, VideoState, checksum_weights
from aotlab.media.prompt import Point, Prompt
from aotlab.networks.fast.optimize import prepare_for_tracking
from aotlab.networks.model import Features, VOSModel
from aotlab.networks.preprocess import network_size, normalize
from aotlab.networks.prompts import PromptNetwork
from aotlab.networks.weights.zoo import load_model, resolve_checkpoint
from aotlab.utils.devices import autocast, copy_to_device, pick_device
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import MALFORMED, reading, sha256
from aotlab.utils.numbers import COUNT, POSITIVE_COUNT
from aotlab.utils.text import shorten
from aotlab.utils.versioned_files import unwrap, wrap

log = logging.getLogger(__name__)


class Tracker:
    """Tracks objects through a video, frame by frame, in one thread at a time.

    It runs an optimized copy of the model; later changes to the model do not affect it, unless ``optimize`` is False.

    >>> tracker = Tracker.from_pretrained()
    >>> tracker.step(first_frame, mask)          # H×W×3 uint8 RGB, H×W object ids
    >>> labels = tracker.step(next_frame).labels
    """

    def __init__(
        self,
        model: VOSModel,
        config: Config,
        *,
        device: str | torch.device = "cpu",
        optimize: bool = True,
        prompts: PromptNetwork | None = None,
    ) -> None:
        """Create a tracker without objects.

        Args:
            model: is copied; an optimized model runs as it is.
            config: settings; ``config.model`` is replaced by the model's. Memory follows its policy, which may keep
                more frames the longer the video is; `from_pretrained` bounds it.
            device: device of the copy, or of an optimized model.
            optimize: False runs the model itself, moved to ``device``, under autocast: for hooks and comparisons.
            prompts: network that makes masks from prompts; None means the bundled one, loaded at the first prompt.

        Raises:
            InputError: no such device.
        """
        self.device = pick_device(str(device))
        self.model, precision = prepare_for_tracking(model, config.compute, self.device, fuse=optimize)
        self.autocast = partial(autocast, self.device, precision)
        dtype = str(self.model.projector.weight.dtype).removeprefix("torch.")
        prepare_prompts = partial(prepare_network, prompts, self.device, dtype, fuse=self.model.fused)
        self._load_prompts = cache(prepare_prompts)  # shared by fresh trackers
        rules = drop_unavailable_rules(config.rules)
        if rules != config.rules:
            log.warning("rules.ownership is off, as OpenCV is missing; pip install 'aotlab[video]'")
        self.config = replace(config, model=model.config, rules=rules)
        self._optimize, self._checksum = optimize, dict[int | None, int]()
        """Checksum of the weights by depth of the model; not cached without ``optimize``, as weights may change."""
        self.checkpoint_digest: str | None = None
        """SHA-256 of the checkpoint's file; None if the model is not from a file."""
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
            checkpoint: file, folder of `save_pretrained`, hf://OWNER/NAME, or name of published weights; None means
                the bundled model.
            config: preset or file of settings; None means the checkpoint's.
            overrides: settings as ``key=value``; a single string is accepted.
            device: see `Tracker`.
            optimize: see `Tracker`.
            protocol: ``bounded`` for videos of any length: replaces memory policies without a bound, as
                `apply_protocol`. ``published``: the memory of the paper's benchmarks.
        """
        overrides = (overrides,) if isinstance(overrides, str) else overrides
        file = resolve_checkpoint(BUNDLED_CHECKPOINT if checkpoint is None else checkpoint)
        model, settings = load_model(file, config=config, overrides=overrides)
        bounded = apply_protocol(settings, protocol, overrides)
        if settings.memory.policy == "every_nth" and bounded.memory.policy != "every_nth":
            log.warning(
                "%s: memory.policy %s keeps at most %d frames; the paper keeps all (memory.policy=%s)",
                settings.name, bounded.memory.policy, bounded.memory.frames, settings.memory.policy,
            )  # fmt: skip
        log.debug("%s on %s with settings %s", file, device, bounded)
        tracker = cls(model, bounded, device=device, optimize=optimize)
        tracker.checkpoint_digest = sha256(file)
        return tracker

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames before the next video; ``length``: its number of frames, if known."""
        is_count = isinstance(length, Integral) and length in COUNT
        require(
            length is None or is_count, f"length must be a number of frames, got {shorten(length)}", subject="reset"
        )
        length = None if length is None else int(length)
        self.state = VideoState(length, TrackerRules(self.config.rules))
        self.segmenter = NetworkSegmenter(self._load_prompts, self.autocast)
        """Segmenter of the prompt network."""

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
        self.reset(self.state.length)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were added."""
        return list_tracked_ids(self.state.groups)

    @torch.inference_mode()
    def step(
        self,
        frame: FrameLike,
        mask: MaskLike | None = None,
        *,
        size: ImageSize | None = None,
        prompts: Mapping[int, Prompt | Point] | None = None,
    ) -> Prediction:
        """Track all objects to the next frame and return its masks; all background before the first mask.

        Args:
            frame: H×W×3 uint8 RGB, as an array, PIL image or tensor.
            mask: H×W object ids (bool: object 1); where it is 0, the predicted pixels of other objects are kept. Later
                masks may add objects. A 0/255 mask means id 255; pass ``mask > 0`` for id 1.
            size: (height, width) of the prediction; None means the frame's. Masks for memory are made in this size, or
                in the frame's if that is larger, before they are resized for the network.
            prompts: prompts by object id, or one point (x, y) each; their masks are added to ``mask``, where they
                replace the pixels of their objects and take no pixel of others.

        Raises:
            InputError: unusable input; the tracker is unchanged. After a failure while updating memory, only `reset`
                and `load_state_dict` make it usable again.
        """
        return self.commit(self.predict(frame, mask, size=size, prompts=prompts))

    def prepare(
        self,
        frame: FrameLike,
        mask: MaskLike | None,
        size: ImageSize | None,
        prompts: Mapping[int, Prompt | Point] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None, ImageSize]:
        """Check the arguments of `step`; return frame, mask with the objects of prompts, and output size."""
        self._require_usable()
        frame = convert_frame(frame, self.state.frame_shape)
        size = (frame.shape[0], frame.shape[1]) if size is None else convert_output_size(size)
        if mask is not None:
            mask = convert_mask(mask, frame.shape[:2], required=not self.ids and not has_prompts(prompts))
        if has_prompts(prompts):
            mask = self.segmenter(frame, prompts, keep=mask)
            require_pixels(mask, prompts)
        return frame, mask, size

    def _require_usable(self) -> None:
        """Raise `InputError` if storing a frame has failed, or is not complete yet.

        A step that fails before its first change of memory changes nothing, and can be repeated.
        """
        if not self.state.usable:
            raise InputError(
                "a step failed while updating memory", subject="tracker", remedy="call reset() or load_state_dict()"
            )

    def is_cut(self, frame: FrameLike) -> bool:
        """Return whether a frame follows a cut after the last stored one; False without ``rules.cuts``."""
        return self.state.rules.detect_cut(convert_frame(frame, self.state.frame_shape))[0]

    @torch.inference_mode()
    def predict(
        self,
        frame: FrameLike,
        mask: MaskLike | None = None,
        *,
        size: ImageSize | None = None,
        prompts: Mapping[int, Prompt | Point] | None = None,
    ) -> PredictedFrame:
        """Predict the masks of a frame for `commit`; arguments and errors as `step`. Nothing changes.

        The first mask of a video decides the network's input size.
        """
        frame, mask, size = self.prepare(frame, mask, size, prompts)
        state, frame_size = self.state, (frame.shape[0], frame.shape[1])
        align_corners = self.model.config.align_corners
        is_smaller = size[0] < frame_size[0] or size[1] < frame_size[1]
        logits_size = frame_size if is_smaller else size
        input_size = state.input_size or network_size(
            frame_size,
            self.config.input,
            align_corners=align_corners,
            min_object_area=None if mask is None else find_smallest_area(mask),
        )
        has_objects = bool(state.groups) or mask is not None
        cut, thumbnail = state.rules.detect_cut(frame) if has_objects else (False, None)
        with self.autocast():
            features, decoded_frames = None, []
            logits = torch.zeros(1, *logits_size, device=self.device)
            if state.groups:
                features = self._encode(frame, input_size)
                decoded_frames = [
                    segment_frame(self.model, group.memory, features, short_term=not cut) for group in state.groups
                ]
                group_logits = [decoded.logits for decoded in decoded_frames]
                logits = merge_logits(state.groups, group_logits, logits_size, align_corners=align_corners)
            indices = logits.max(0).indices  # faster than argmax on CPUs
            reassignments = [] if cut else state.rules.find_reassignments(frame, indices, self.ids)
            if reassignments:
                logits, indices = swap_logits(logits, indices, reassignments, self.ids)
        return PredictedFrame(
            state, frame, mask, size, cut, thumbnail, reassignments, input_size, features, decoded_frames,
            logits, indices,
        )  # fmt: skip

    @torch.inference_mode()
    def commit(self, predicted: PredictedFrame) -> Prediction:
        """Store a predicted frame, corrected by its mask; return its final prediction.

        Raises:
            InputError: the tracker changed since the prediction, or an update of memory failed.
        """
        self._require_usable()
        state, mask = predicted.state, predicted.mask
        if state is not self.state:
            raise InputError(
                "the tracker changed since this prediction", subject="commit", remedy="use one tracker per thread"
            )
        logits, indices = predicted.logits, predicted.indices
        annotated_ids: list[int] = []
        with self.autocast():
            if mask is None:
                self._store_tracked(predicted)
            else:
                annotated_ids = [object_id for object_id in np.unique(mask).tolist() if object_id]
                indices = self._store_reference(predicted, mask, annotated_ids)
                logits = one_hot_logits(indices, len(self.ids))
        if self.ids:
            state.rules.update(
                predicted.frame, indices, self.ids, annotated_ids,
                cut=predicted.cut, thumbnail=predicted.thumbnail, reassignments=predicted.reassignments,
            )  # fmt: skip
        prediction = Prediction(
            self.ids, logits, indices, temperature=self.config.confidence_temperature, cut=predicted.cut
        ).resize(predicted.size, align_corners=self.model.config.align_corners)
        # a new object, by which `commit` refuses predictions of earlier states
        self.state = replace(state, frame_shape=predicted.frame.shape, usable=True)
        return prediction

    def _store_tracked(self, predicted: PredictedFrame) -> None:
        """Store a frame with its predicted masks."""
        model, groups, frames = self.model, self.state.groups, predicted.decoded_frames
        masks = split_by_group(groups, predicted.indices, predicted.input_size, model.config.max_objects)
        memories = [
            model.memorize(decoded.propagated, model.assign_identities(group_masks))
            for decoded, group_masks in zip(frames, masks, strict=True)
        ]
        self.state.usable = False
        for group, decoded, memory in zip(groups, frames, memories, strict=True):
            if predicted.cut:
                group.memory.clear_short_term()
            store_memory(model, group.memory, decoded, memory)

    def _store_reference(self, predicted: PredictedFrame, mask: np.ndarray, annotated_ids: Sequence[int]) -> Tensor:
        """Store a frame with a mask of the objects ``annotated_ids``, some of them new; return its indices H×W."""
        model, state, size = self.model, self.state, predicted.input_size
        build = partial(build_bank, self.config.memory, length=state.length)
        groups = add_objects(state.groups, annotated_ids, model.config.max_objects, build)
        ids = list_tracked_ids(groups)
        for object_id in find_vanished_ids(mask, {*annotated_ids}.difference(self.ids), size):
            log.warning("object %d: too small to be tracked; raise input.scale", object_id)
        indices = mask_to_indices(mask, ids).to(self.device)
        if state.groups:
            indices = overwrite_with_mask(predicted.indices, indices, len(ids))
        masks = split_by_group(groups, indices, size, model.config.max_objects)
        features = predicted.features or self._encode(predicted.frame, size)
        memories = []
        for group_masks in masks:
            id_embeddings = model.assign_identities(group_masks)
            propagated = model.propagate_reference(features, id_embeddings)
            memories.append(model.memorize(propagated, id_embeddings))
        indices = resize_indices(indices, predicted.indices.shape)
        state.usable = False
        for group, memory in zip(groups, memories, strict=True):
            group.memory.add_reference(memory)
        state.groups, state.input_size = groups, size
        return indices

    def _encode(self, frame: np.ndarray, input_size: ImageSize) -> Features:
        """Encode a frame H×W×3 uint8, resized as the published code does."""
        pixels = copy_to_device(frame, self.device).permute(2, 0, 1)[None]
        image = F.interpolate(pixels.float() / 255, input_size, mode="bicubic")
        return self.model.encode(normalize(image))

    @torch.inference_mode()
    def prompt(self, frame: FrameLike, prompts: Mapping[int, Prompt | Point]) -> Prediction:
        """Segment objects of one frame from prompts by object id, without overlap; memory is unchanged.

        Raises InputError for an unusable frame, no prompts, a prompt outside the frame, or a model without prompts.
        """
        frame = convert_frame(frame, self.state.frame_shape)
        checked_prompts = check_prompts(prompts, (frame.shape[0], frame.shape[1]))
        logits = self.segmenter.logits(frame, checked_prompts)
        return Prediction(
            tuple(checked_prompts), logits, logits.max(0).indices, temperature=self.config.confidence_temperature
        )

    def forget(self, object_id: int) -> None:
        """Stop tracking an object that has left the scene: it has no pixel from the next frame on.

        While it is visible, its pixels go to the next most likely object. Its id may be used again.

        Its identity remains reserved, because stored frames still contain it, until all objects of its group are
        forgotten.

        Raises:
            InputError: no such object is tracked.
        """
        is_id = isinstance(object_id, Integral) and object_id in POSITIVE_COUNT
        require(is_id and object_id in self.ids, f"object {shorten(repr(object_id))} is not tracked", subject="forget")
        self._require_usable()
        state = self.state
        groups = forget_object(state.groups, object_id)
        if groups:
            state.rules.forget(object_id)
            self.state = replace(state, groups=groups)
        else:  # the next mask begins like the first one
            rules = TrackerRules(self.config.rules)
            self.state = VideoState(state.length, rules, frame_shape=state.frame_shape)

    def state_dict(self) -> dict[str, Any]:
        """Return the state with which a tracker of the same model resumes this video, for `torch.save`."""
        self._require_usable()
        return wrap(TRACKER_STATE, {"fingerprint": self.fingerprint, **self.state.state_dict()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume the video of a `state_dict` (`torch.load` with ``weights_only`` reads it).

        Raises:
            InputError: a state of another precision, other weights, settings or ``optimize``, or damaged; the tracker
                is unchanged.
        """
        with reading("tracker state", TRACKER_STATE.remedy, RuntimeError, *MALFORMED):
            content = unwrap(TRACKER_STATE, state)
        saved_fingerprint = content["fingerprint"]
        for name, value in self.fingerprint.items():  # precision first: it changes weights too
            require(saved_fingerprint.get(name) == value, f"saved with other {name}", subject="tracker state")
        self.state = VideoState.from_state_dict(content, self.config, self.device)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Precision and checksum of the weights, and the settings, that states depend on."""
        settings = {name: asdict(getattr(self.config, name)) for name in ("model", "memory", "input", "rules")}
        precision, depth = str(self.model.projector.weight.dtype), self.model.config.depth
        if not self._optimize or depth not in self._checksum:
            self._checksum[depth] = checksum_weights(self.model)
        return {"precision": precision, "weights": self._checksum[depth], **settings}
