"""Exported graphs run by onnxruntime, as a `VOSModel` for trackers and memory policies."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self

from aotlab.configs.load import build_config, parse_yaml
from aotlab.engine.export.graphs import (
    DESCRIPTION_FILE,
    EXPORT,
    Description,
    flatten_tensors,
    unflatten_features,
    unflatten_list,
    unflatten_memory,
    unflatten_states,
)
from aotlab.engine.tracking.prediction import Prediction
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.synthetic_clip import draw_clip
from aotlab.networks.model import BlockMemory, Features, Memory, PropagatedFrame, VOSModel
from aotlab.networks.rmem import temporal_slots_by_age
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.files import is_file, read_text, require_file_name, sha256
from aotlab.utils.versioned_json import reading_kind, unwrap

if TYPE_CHECKING:
    import onnxruntime

SHARED_INPUTS = ("image", "temporal_indices", "features_")
"""prefixes of inputs shared by all groups of objects"""
CPU = "CPUExecutionProvider"
TOLERANCE = 1e-3
"""largest accepted difference of logits, relative to their standard deviation"""


def load_exported_tracker(folder: str | Path, *, provider: str = CPU) -> Tracker:
    """Return a `Tracker` that runs exported graphs.

    Args:
        folder: output of `export_model` or ``aotlab export``.
        provider: execution provider of onnxruntime.

    Raises:
        InputError: not an export, damaged files, a missing package, or an unknown provider.
    """
    model = ExportedModel(Path(folder), provider=provider)
    return Tracker(model, model.description.config)


class ExportedModel(VOSModel):
    """Model as graphs, on the CPU, for inference.

    Groups of objects run in batches of the exported size; the last one is padded.
    """

    def __init__(self, folder: Path, *, provider: str = CPU) -> None:
        """Load all graphs; raise as `load_exported_tracker` does."""
        nn.Module.__init__(self)  # the encoder is one of the graphs
        self.description = read_description(folder)
        self.config = self.description.config.model
        self.optimized, self.prompts = True, None
        require_extra("export", "onnxruntime")
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        for name in self.description.sha256:
            self._sessions[name] = open_onnx(folder / f"{name}.onnx", provider)
        height, width = self.description.network_size
        self._sizes = [(-(-height // stride), -(-width // stride)) for stride in self.config.block_strides]
        digests = bytes.fromhex("".join(self.description.sha256.values()))
        # in `state_dict`, so that a tracker's state is not loaded into graphs of other weights
        self.register_buffer("digest", torch.frombuffer(bytearray(digests), dtype=torch.uint8))

    def encode(self, image: Tensor) -> Features:
        """Encode an image 1×3×H×W; raises `InputError` for another size than the export's."""
        inside, video = self.description.network_size, self.description.video_size
        if list(image.shape[2:]) != inside:
            raise InputError(
                f"frame: {image.shape[3]}×{image.shape[2]} in the network, but this export is for "
                f"{inside[1]}×{inside[0]} (videos of {video[1]}×{video[0]}); resize the video, or export for its size"
            )
        return unflatten_features(self._results("encode", {"image": image}))

    def at_depth(self, depth: int) -> Self:
        """Raise `InputError`: the graphs are those of one depth."""
        raise InputError("tracker: exported graphs have a fixed depth; export with model.depth")

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Embed masks B×(m+1)×H×W, m ≤ M."""
        absent = self.config.max_objects + 1 - masks.shape[1]
        masks = F.pad(masks, (0, 0, 0, 0, 0, absent))
        return unflatten_list("identities", self._results("assign_identities", {"masks": masks}))

    def propagate(
        self, features: Features, memory: Memory | None = None, id_embeddings: Sequence[Tensor] | None = None
    ) -> PropagatedFrame:
        """Propagate identities from memory to a frame, or on a reference frame from its own; states are dicts."""
        maps = flatten_tensors("features", features)
        if memory is None:
            results = self._results("reference", maps | flatten_tensors("identities", id_embeddings))
        else:
            indices = self._temporal_indices(memory[0].long.key)
            results = self._results("propagate", maps | flatten_tensors("memory", memory) | indices)
        return PropagatedFrame(unflatten_list("embeddings", results), unflatten_states(results), self._sizes)

    def memorize(self, propagated: PropagatedFrame, id_embeddings: Sequence[Tensor]) -> list[BlockMemory]:
        """Return a frame's memory of each block."""
        states = flatten_tensors("states", propagated.states)
        return unflatten_memory(
            self._results("memorize", states | flatten_tensors("identities", id_embeddings))
        )

    def decode(self, propagated: PropagatedFrame, features: Features) -> Tensor:
        """Return logits of background and identities."""
        embeddings = flatten_tensors("embeddings", propagated.embeddings)
        return self._results("decode", embeddings | flatten_tensors("features", features))["logits"]

    def compare(self, propagated: PropagatedFrame, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first block's queries and long-term keys as its attention compares them."""
        tensors = {"states_0_key": propagated.states[0]["key"], "memory_0_long_key": key}
        results = self._results("compare", tensors | self._temporal_indices(key))
        return results["query"], results["key"]

    def _results(self, name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run a graph for all groups of objects."""
        session, size = self._sessions[name], self.description.groups
        inputs = [node.name for node in session.get_inputs()]
        batched = [tensor for tensor in inputs if not tensor.startswith(SHARED_INPUTS)]
        count = len(tensors[batched[0]]) if batched else size
        parts = []
        for start in range(0, count, size):
            rows = {tensor: _slice_padded(tensors[tensor], start, size) for tensor in batched}
            arrays = {tensor: rows.get(tensor, tensors[tensor]).contiguous().numpy() for tensor in inputs}
            parts.append([torch.from_numpy(array) for array in session.run(None, arrays)])
        results = (
            parts[0] if count == size else [torch.cat(each)[:count] for each in zip(*parts, strict=True)]
        )
        return dict(zip((node.name for node in session.get_outputs()), results, strict=True))

    def _temporal_indices(self, key: Tensor) -> dict[str, Tensor]:
        """Return the slots of the frames in the first block's long-term keys, if the model has them."""
        slots, (height, width) = self.config.stages[0].temporal_slots, self._sizes[0]
        frames = key.shape[1] // (height * width)
        return {"temporal_indices": temporal_slots_by_age(frames, slots)} if slots else {}


def _slice_padded(batch: Tensor, start: int, count: int) -> Tensor:
    """Return ``count`` rows of a batch from ``start``, padded with zeros."""
    rows = batch[start : start + count]
    missing = count - len(rows)
    return F.pad(rows, [0, 0] * (rows.dim() - 1) + [0, missing]) if missing else rows


def read_description(folder: Path) -> Description:
    """Read the description of a folder of graphs and check digests; raises `InputError` if anything was changed."""
    path = folder / DESCRIPTION_FILE
    if not is_file(path):
        raise InputError(
            f"{folder}: not an export, {DESCRIPTION_FILE} is missing; create one with aotlab export"
        )
    with reading_kind(path, EXPORT):
        tree = unwrap(EXPORT, parse_yaml(read_text(path, "export again"), str(path), untrusted=True))
        digests = {require_file_name(name, str(path)): digest for name, digest in tree.pop("sha256").items()}
        config = build_config(tree.pop("config"), str(path))
        description = Description(**tree, sha256=digests, config=config)
    for name, digest in digests.items():
        file = folder / f"{name}.onnx"
        if not is_file(file) or sha256(file) != digest:
            raise InputError(
                f"{file}: missing, or not the graph that was exported; copy the whole folder or export again"
            )
    return description


def open_onnx(path: Path, provider: str) -> onnxruntime.InferenceSession:
    """Load a graph with PyTorch's number of threads; raises `InputError` if it is damaged or lacks the provider."""
    import onnxruntime

    known = onnxruntime.get_available_providers()
    if provider not in known:
        raise InputError(
            f"provider {provider}: not available in onnxruntime here; use one of {', '.join(known)}"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that spin between graphs would take cores from PyTorch.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=list(dict.fromkeys((provider, CPU))))
    except Exception as error:  # the library's errors have no common class
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"{path}: onnxruntime cannot load it ({reason}); export again") from error


class Agreement(NamedTuple):
    """Agreement of exported graphs with their model on a clip."""

    difference: float
    """largest difference of logits, relative to the standard deviation of PyTorch's on that frame"""
    equal: float
    """fraction of pixels with the same label"""
    exported_seconds: float
    """median seconds per frame of the graphs"""
    pytorch_seconds: float
    """median seconds per frame of PyTorch"""


def verify_export(model: VOSModel, folder: Path, *, frames: int = 12, provider: str = CPU) -> Agreement:
    """Track the drawn clip of ``frames`` ≥ 2 frames by exported graphs and by their model; compare from the second on.

    Raises:
        InputError: as `load_exported_tracker`.
    """
    exported = load_exported_tracker(folder, provider=provider)
    trackers = exported, Tracker(model, exported.config)
    height, width = read_description(folder).video_size
    images, masks = draw_clip(frames, height, width, seed=0)
    for tracker in trackers:
        tracker.step(images[0], masks[0])
    differences, equal, seconds = [], [], []
    for image in images[1:]:
        begin = time.perf_counter()
        prediction = exported.step(image)
        middle = time.perf_counter()
        expected = trackers[1].step(image)
        seconds.append((middle - begin, time.perf_counter() - middle))
        differences.append(relative_difference(prediction, expected))
        equal.append((prediction.channels == expected.channels).double().mean().item())
    medians = [statistics.median(times) for times in zip(*seconds, strict=True)]
    return Agreement(max(differences), statistics.mean(equal), *medians)


def relative_difference(prediction: Prediction, expected: Prediction) -> float:
    """Return the largest difference of logits, relative to the standard deviation of the expected ones."""
    return float((prediction.logits - expected.logits).abs().max() / torch.std(expected.logits))
