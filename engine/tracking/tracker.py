"""`Tracker`: frames and masks in, masks out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import copy
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.protocol import MemoryProtocol
from aotlab.configs.schema import Config
from aotlab.configs.settings import build
from aotlab.engine.hooks.cuts import build_hooks
from aotlab.engine.hooks.hook import Hook
from aotlab.engine.memory.bank import build_bank
from aotlab.engine.recurrence import encode_frame, memorize_frame, memorize_reference, segment_frame
from aotlab.engine.tracking.groups import (
    add_objects,
    drop_forgotten,
    find_indices,
    find_smallest_area,
    find_vanished_ids,
    forget_object,
    list_tracked_ids,
    mask_to_indices,
    merge_logits,
    number_identities,
    one_hot_logits,
    overwrite_with_mask,
    resize_indices,
    split_by_group,
)
from aotlab.engine.tracking.inputs import ImageSize, convert_output_size, prepare_inputs
from aotlab.engine.tracking.prediction import Draft, Prediction
from aotlab.engine.tracking.saved_state import checksum_weights, describe_tracker, load_state, save_state
from aotlab.engine.tracking.soft_edges import soften_edges
from aotlab.engine.tracking.state import VideoState
from aotlab.media.arrays import FrameLike, MaskLike, convert_frame, convert_mask
from aotlab.media.prompt import Point, Prompt
from aotlab.networks.fast.optimize import is_optimized, prepare_for_tracking
from aotlab.networks.model import Features, VOSModel
from aotlab.networks.preprocess import network_size
from aotlab.networks.weights.zoo import load_model, resolve_checkpoint
from aotlab.prompting.network import NetworkLoader, NetworkSegmenter
from aotlab.prompting.prompt_network import PromptNetwork
from aotlab.prompting.segmenter import check_prompts
from aotlab.utils.devices import autocast, copy_to_device, pick_device
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import sha256
from aotlab.utils.numbers import COUNT, POSITIVE_COUNT
from aotlab.utils.text import shorten

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
        hooks: Sequence[Hook] = (),
        *,
        device: str | torch.device = "cpu",
        optimize: bool = True,
        prompts: PromptNetwork | None = None,
    ) -> None:
        """Create a tracker without objects.

        Args:
            model: is copied; an optimized model runs as it is.
            config: settings; ``config.model`` is replaced by the model's.
            hooks: corrections of predictions; they run after those of ``config.rules``.
            device: device of the copy, or of an optimized model.
            optimize: False runs the model itself, moved to ``device``, in evaluation mode and under autocast.
            prompts: network that makes masks from prompts; None means the bundled one, loaded at the first prompt.

        Raises:
            InputError: no such device, or settings that the model does not have.
        """
        self.device = pick_device(str(device))
        self.model, precision = prepare_for_tracking(model, config.compute, self.device, fuse=optimize)
        self.autocast = partial(autocast, self.device, precision)
        dtype = str(self.model.projector.weight.dtype).removeprefix("torch.")
        self._load_prompts = NetworkLoader(prompts, self.device, dtype, fuse=is_optimized(self.model))
        self.config = build(Config, {**dict(config), "model": model.config})
        self.hooks = [*build_hooks(config.rules), *hooks]
        for hook in self.hooks:
            require(
                isinstance(hook, Hook), f"expected objects of Hook, got {shorten(repr(hook))}", subject="hooks",
                remedy="derive its class from aotlab.sdk.Hook",
            )  # fmt: skip
        self._optimize = optimize
        self._checksum = 0
        """Checksum of the weights, 0 until it is needed; not cached without ``optimize``, as weights may change."""
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
        hooks: Sequence[Hook] = (),
        device: str | torch.device = "auto",
        optimize: bool = True,
        protocol: MemoryProtocol = "bounded",
    ) -> Tracker:
        """Load a model and return its tracker.

        Args:
            checkpoint: file, folder of `save_pretrained`, hf://OWNER/NAME, or name of published weights; None means
                the bundled model.
            config: preset or file of settings; None means the checkpoint's.
            overrides: settings as ``key=value``; a single string is accepted.
            hooks: see `Tracker`.
            device: see `Tracker`; auto means CUDA if available, else the CPU.
            optimize: see `Tracker`.
            protocol: see `load_model`.
        """
        file = resolve_checkpoint(BUNDLED_CHECKPOINT if checkpoint is None else checkpoint)
        model, settings = load_model(file, config=config, overrides=overrides, protocol=protocol)
        log.debug("%s on %s with settings %s", file, device, settings)
        tracker = cls(model, settings, hooks, device=device, optimize=optimize)
        tracker.checkpoint_digest = sha256(file)
        return tracker

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames before the next video; ``length``: its number of frames, if known."""
        is_count = isinstance(length, Integral) and length in COUNT
        require(
            length is None or is_count, f"length must be a number of frames, got {shorten(length)}", subject="reset"
        )
        length = None if length is None else int(length)
        self.state = VideoState(length)
        for hook in self.hooks:
            hook.reset()
        self.segmenter = NetworkSegmenter(self._load_prompts, self.autocast)
        """Segmenter of the prompt network."""

    def fresh(self) -> Tracker:
        """Return another tracker of the same model and settings, without objects or frames."""
        other = copy(self)
        other.hooks = [hook.fresh() for hook in self.hooks]
        other.reset()
        return other

    def set_depth(self, depth: int) -> None:
        """Use the first ``depth`` blocks of a scalable model (AOST), and reset.

        Raises:
            InputError: deeper than trained, or another kind of model.
        """
        self.model = self.model.at_depth(depth)
        self.config = self.config.replace(model=self.model.config)
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
                masks may add objects. A 0/255 mask means id 255; pass ``mask > 0`` for id 1. Floats from 0 to 1 are of
                object 1, n×H×W of objects 1 to n; each pixel belongs to the one with the largest value.
            size: (height, width) of the prediction; None means the frame's. Masks for memory are made in this size, or
                in the frame's if that is larger, before they are resized for the network.
            prompts: prompts by object id, or one point (x, y) each; their masks are added to ``mask``, where they
                replace the pixels of their objects and take no pixel of others.

        Raises:
            InputError: unusable input; the tracker is unchanged. After a failure while updating memory, only `reset`
                and `load_state_dict` make it usable again.
        """
        self._require_complete()
        frame, mask, size = prepare_inputs(
            frame, mask, size, prompts, is_tracking=bool(self.ids), frame_shape=self.state.frame_shape,
            segmenter=self.segmenter,
        )  # fmt: skip
        return self.commit(self.predict(frame, size), mask)

    def _require_complete(self) -> None:
        """Raise `InputError` if memory is being written, or if that has failed."""
        if not self.state.is_complete:
            raise InputError(
                "a step failed while updating memory", subject="tracker", remedy="call reset() or load_state_dict()"
            )

    def is_cut(self, frame: FrameLike) -> bool:
        """Return whether a frame follows a cut after the last stored one; False without ``rules.cuts``."""
        return not self._reads_short_term(convert_frame(frame, self.state.frame_shape), {})

    def _reads_short_term(self, frame: np.ndarray, notes: dict[str, Any]) -> bool:
        return all([hook.allows_short_term(frame, notes) for hook in self.hooks])  # noqa: C419  # every hook sees the frame

    @torch.inference_mode()
    def predict(self, frame: FrameLike, size: ImageSize | None = None) -> Draft:
        """Predict the masks of a frame, for `commit`; nothing changes. Arguments and errors as those of `step`."""
        self._require_complete()
        state, frame = self.state, convert_frame(frame, self.state.frame_shape)
        frame_size = (frame.shape[0], frame.shape[1])
        size = frame_size if size is None else convert_output_size(size)
        is_smaller = size[0] < frame_size[0] or size[1] < frame_size[1]
        logits_size = frame_size if is_smaller else size
        version, notes = state.version, dict[str, Any]()
        short_term = self._reads_short_term(frame, notes)
        features, decoded_frames, forgotten = None, [], None
        with self.autocast():
            logits = torch.zeros(1, *logits_size, device=self.device)
            if state.input_size is not None:
                features = self._encode(frame, state.input_size)
                decoded_frames = [
                    segment_frame(self.model, group.memory, features, short_term=short_term) for group in state.groups
                ]
                group_logits = [decoded.logits for decoded in decoded_frames]
                align_corners = self.model.config.align_corners
                logits = merge_logits(state.groups, group_logits, logits_size, align_corners=align_corners)
                logits, forgotten = drop_forgotten(state.groups, logits)
        draft = Draft(
            state, version, frame, size, short_term, features, decoded_frames, logits, find_indices(logits), notes,
            forgotten=forgotten,
        )  # fmt: skip
        for hook in self.hooks if decoded_frames else ():
            draft = hook.correct(draft)
        return draft

    @torch.inference_mode()
    def commit(self, draft: Draft, mask: MaskLike | None = None) -> Prediction:
        """Store a predicted frame, corrected by its mask; return its final prediction.

        Args:
            draft: from `predict`; its ``logits`` and ``indices`` may be replaced.
            mask: as in `step`. The first mask of a video decides the network's input size.

        Raises:
            InputError: an unusable mask, the tracker changed since the prediction, or an update of memory failed.
        """
        self._require_complete()
        state = self.state
        if draft.state is not state or draft.version != state.version:
            raise InputError(
                "this prediction is out of date",
                subject="tracker",
                remedy="call predict again; another thread needs another tracker, as fresh() returns",
            )
        if mask is not None:
            mask = convert_mask(mask, draft.frame.shape[:2], required=not self.ids)
        logits, indices = draft.logits, draft.indices
        with self.autocast():
            if mask is None:
                self._store_tracked(draft)
            else:
                indices, features = self._store_reference(draft, mask)
                draft = draft._replace(features=features)  # for the hooks
                logits = one_hot_logits(indices, len(self.ids))
        state.frame_shape = draft.frame.shape
        annotated_ids = () if mask is None else np.unique(mask).tolist()
        prediction = Prediction(
            self.ids, logits, indices, cut=not draft.short_term, hidden=draft.hidden.difference(annotated_ids),
            temperature=self.config.confidence_temperature,
        )  # fmt: skip
        for hook in self.hooks if self.ids else ():
            hook.stored(draft, prediction, mask)
        return prediction.resize(draft.size, align_corners=self.model.config.align_corners)

    def _store_tracked(self, draft: Draft) -> None:
        """Store a frame with its predicted masks."""
        model, state, masks = self.model, self.state, []
        if state.input_size is not None:
            numbers = number_identities(state.groups, draft.indices, draft.forgotten)
            masks = split_by_group(state.groups, numbers, state.input_size, model.config.max_objects)
        memories = [
            memorize_frame(model, group.memory, decoded, group_masks)
            for group, decoded, group_masks in zip(state.groups, draft.decoded_frames, masks, strict=True)
        ]
        with state.changing():
            for group, (memory, relevance) in zip(state.groups, memories, strict=True):
                if not draft.short_term:
                    group.memory.clear_short_term()
                group.memory.add(memory, relevance)

    def _store_reference(self, draft: Draft, mask: np.ndarray) -> tuple[Tensor, Features]:
        """Store a frame with a mask, some of whose objects may be new; return its indices H×W and its features."""
        model, state, ids_before = self.model, self.state, self.ids
        annotated_ids = [object_id for object_id in np.unique(mask).tolist() if object_id]
        size = state.input_size or network_size(
            (draft.frame.shape[0], draft.frame.shape[1]),
            self.config.input,
            align_corners=model.config.align_corners,
            min_object_area=find_smallest_area(mask),
        )
        build = partial(build_bank, self.config.memory, length=state.length)
        groups = add_objects(state.groups, annotated_ids, model.config.max_objects, build)
        ids = list_tracked_ids(groups)
        for object_id in find_vanished_ids(mask, {*annotated_ids}.difference(ids_before), size):
            log.warning("object %d: too small to be tracked; raise input.scale", object_id)
        indices = mask_to_indices(mask, ids).to(self.device)
        if state.groups:
            indices = overwrite_with_mask(draft.indices, indices, len(ids))
        numbers = number_identities(groups, indices, draft.forgotten)
        masks = split_by_group(groups, numbers, size, model.config.max_objects)
        features = draft.features or self._encode(draft.frame, size)
        memories = [memorize_reference(model, features, group_masks)[0] for group_masks in masks]
        indices = resize_indices(indices, draft.indices.shape)
        with state.changing():
            for group, memory in zip(groups, memories, strict=True):
                group.memory.add_reference(memory)
            state.groups, state.input_size = groups, size
        return indices, features

    @torch.inference_mode()
    def soften_edges(self, frame: FrameLike, prediction: Prediction) -> Prediction:
        """Return the prediction of a frame with a mask with soft edges in its `Prediction.probabilities`.

        Near the borders of the mask they are predicted from memory, as on other frames, within the limits of
        `soften_mask`. Labels and confidence stay the same, and so does the tracker. It takes about as long as a
        step.

        Args:
            frame: the last frame, as passed to `step` together with its mask.
            prediction: the result of that step.

        Raises:
            InputError: an unusable frame.
        """
        frame, state = convert_frame(frame, self.state.frame_shape), self.state
        if state.input_size is None:  # its objects have been forgotten
            return prediction
        with self.autocast():
            features = self._encode(frame, state.input_size)
            return soften_edges(self.model, state.groups, features, state.input_size, prediction)

    def _encode(self, frame: np.ndarray, size: ImageSize) -> Features:
        """Encode a frame H×W×3 uint8, resized."""
        image = copy_to_device(frame, self.device).permute(2, 0, 1)[None].float() / 255
        return encode_frame(self.model, image, size)

    @torch.inference_mode()
    def prompt(self, frame: FrameLike, prompts: Mapping[int, Prompt | Point]) -> Prediction:
        """Segment objects of one frame from prompts by object id, without overlap; memory is unchanged.

        Raises InputError for an unusable frame, no prompts, or a prompt outside the frame.
        """
        frame = convert_frame(frame, self.state.frame_shape)
        checked_prompts = check_prompts(prompts, (frame.shape[0], frame.shape[1]))
        logits = self.segmenter.logits(frame, checked_prompts)
        return Prediction.from_logits([*checked_prompts], logits, temperature=self.config.confidence_temperature)

    def forget(self, object_id: int) -> None:
        """Stop tracking an object: its pixels are background from the next frame on.

        Its id may be used again. Its identity is still predicted and stored, and counts as background, until all
        objects of its group are forgotten: its neighbors stay as they are.

        Raises:
            InputError: no such object is tracked.
        """
        is_id = isinstance(object_id, Integral) and object_id in POSITIVE_COUNT
        require(is_id and object_id in self.ids, f"object {shorten(repr(object_id))} is not tracked", subject="forget")
        self._require_complete()
        state = self.state
        for hook in self.hooks:
            hook.forget(object_id)
        with state.changing():
            state.groups = forget_object(state.groups, object_id)
        if not state.groups:  # the next mask begins like the first one
            self.reset(state.length)
            self.state.frame_shape = state.frame_shape

    def state_dict(self) -> dict[str, Any]:
        """Return the state with which a tracker of the same model resumes this video, for `torch.save`.

        Raises:
            InputError: an update of memory failed, or a hook has attributes that cannot be compared.
        """
        self._require_complete()
        return save_state(self.state, self.hooks, self.fingerprint)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume the video of a `state_dict` (`torch.load` with ``weights_only`` reads it).

        Raises:
            InputError: a state of another precision, other weights, settings, hooks or ``optimize``, or damaged; the
                tracker is unchanged.
        """
        self.state = load_state(state, self.hooks, self.fingerprint, self.config, self.device)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Precision and checksum of the weights, and the settings, on which states depend."""
        if not self._optimize or not self._checksum:
            self._checksum = checksum_weights(self.model)
        return describe_tracker(self.config, self.model.projector.weight.dtype, self._checksum)
