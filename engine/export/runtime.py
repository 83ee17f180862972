"""Running a folder of graphs: `ExportedModel` is a `Model`, for trackers and memory policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.engine.export.description import graph_file, read_description
from aotlab.engine.export.names import (
    current_of,
    embeddings_of,
    identities_of,
    map_sizes,
    memory_of,
    named_current,
    named_embeddings,
    named_identities,
    named_memory,
)
from aotlab.engine.export.writing import require_packages
from aotlab.engine.tracker import Tracker
from aotlab.networks.block import BlockMemory, Memory, embedding_indices
from aotlab.networks.vos_model import Features, Propagated
from aotlab.utils.errors import InputError

RunGraph = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""maps a graph's inputs by name to its outputs by name; other inputs are ignored"""
SHARED = ("image", "temporal_indices_", *Features._fields)
"""prefixes of inputs shared by all groups of objects"""
CPU = "CPUExecutionProvider"


def exported_tracker(folder: str | Path, *, provider: str = CPU) -> Tracker:
    """Return a `Tracker` that runs exported graphs.

    Args:
        folder: output of `export_model` or ``aotlab export``.
        provider: execution provider of onnxruntime.

    Raises:
        InputError: not an export, damaged files, a missing package, or an unknown provider.
    """
    model = ExportedModel(Path(folder), provider=provider)
    return Tracker(model, model.description.config)


class ExportedModel(nn.Module):
    """`VOSModel` as graphs, on the CPU, for inference; arguments and results are the same.

    Groups of objects run in batches of the exported size; the last one is padded.
    """

    def __init__(self, folder: Path, *, provider: str = CPU) -> None:
        """Load all graphs; raise as `exported_tracker` does."""
        super().__init__()
        self.description = read_description(folder)
        self.config = self.description.config.model
        require_packages("onnxruntime")
        self._run: dict[str, RunGraph] = {}
        for name, graph in self.description.graphs.items():
            self._run[name] = open_onnx(folder / graph_file(name), list(graph.outputs), provider)
        self._sizes = map_sizes(self.config, self.description.network_size)

    @property
    def heads(self) -> int:
        """Heads of long-term attention in the first block of the first stage."""
        return self.description.heads

    def compile_parts(self, *, dynamic: bool | None = None) -> None:
        """Do nothing: graphs are compiled already."""

    def encode(self, image: Tensor) -> Features:
        """Encode an image 1×3×H×W; raises `InputError` for another size than the export's."""
        inside, video = self.description.network_size, self.description.video_size
        if list(image.shape[2:]) != inside:
            raise InputError(
                f"frame: {image.shape[3]}×{image.shape[2]} in the network, but this export is for "
                f"{inside[1]}×{inside[0]} (videos of {video[1]}×{video[0]}); resize the video, or export for its size"
            )
        return Features(**self._results("encode", {"image": image}))

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Embed masks B×(m+1)×H×W, m ≤ M."""
        absent = self.config.max_objects + 1 - masks.shape[1]
        masks = F.pad(masks, (0, 0, 0, 0, 0, absent))
        return identities_of(self.config, self._results("assign_identities", {"masks": masks}))

    def propagate(
        self, features: Features, memory: Memory | None = None, identities: Sequence[Tensor] | None = None
    ) -> Propagated:
        """Propagate identities from memory to a frame, or on a reference frame from its own.

        Only the last stage's embeddings have channels.

        Raises:
            InputError: long-term memory has more frames than the export allows.
        """
        if memory is None:
            assert identities is not None
            results = self._results("reference", {**features._asdict(), **named_identities(identities)})
        else:
            given = {**features._asdict(), **named_memory(memory), **self._temporal_indices(memory)}
            results = self._results("propagate", given)
        decoded = embeddings_of(results)
        empty = [[decoded[-1].new_empty(len(decoded[-1]), 0, *size)] for size in self._sizes[:-1]]
        return Propagated([*empty, decoded], current_of(self.config, results))

    def memorize(self, propagated: Propagated, identities: Sequence[Tensor]) -> list[list[BlockMemory]]:
        """Return a frame's memory per stage and block."""
        given = {**named_current(propagated.current), **named_identities(identities)}
        return memory_of(self.config, self._results("memorize", given))

    def decode(self, propagated: Propagated, features: Features) -> Tensor:
        """Return logits of background and identities."""
        given = {**named_embeddings(propagated.embeddings[-1]), **features._asdict()}
        return self._results("decode", given)["logits"]

    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries and keys of the first stage as long-term attention compares them."""
        count = self.config.stages[0].temporal_slots
        if not count:
            return query, key
        indices = embedding_indices(self._frames(key), count)
        given = {"key_0_0": query, "long_key_0_0": key, "temporal_indices_0": indices}
        results = self._results("add_temporal", given)
        return results["query"], results["key"]

    def _results(self, name: str, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run a graph for all groups of objects; return its outputs, and results that equal an input or output."""
        graph = self.description.graphs[name]
        batched = [tensor for tensor in graph.inputs if not tensor.startswith(SHARED)]
        count, size = len(given[batched[0]]) if batched else 1, self.description.groups
        if not batched or count == size:
            results = self._run[name](given)
        else:
            parts = []
            for start in range(0, count, size):
                rows = {tensor: _rows(given[tensor], start, size) for tensor in batched}
                parts.append(self._run[name]({**given, **rows}))
            results = {
                tensor: torch.cat([part[tensor] for part in parts])[:count] for tensor in graph.outputs
            }
        known = {**given, **results}
        return {**results, **{tensor: known[source] for tensor, source in graph.same.items()}}

    def _temporal_indices(self, memory: Memory) -> dict[str, Tensor]:
        """Return the indices of the temporal embeddings of the frames in memory."""
        frames = self._frames(memory[0][0].long.key)
        if frames > self.description.frames:
            raise InputError(
                f"memory: {frames} frames, but this export has room for {self.description.frames}; "
                f"export again with memory.frames={frames}"
            )
        return {
            f"temporal_indices_{number}": embedding_indices(frames, stage.temporal_slots)
            for number, stage in enumerate(self.config.stages)
            if stage.temporal_slots
        }

    def _frames(self, key: Tensor) -> int:
        """Return the number of frames of keys in the first stage's long-term memory."""
        stride, (height, width) = self.config.stages[0].memory_stride, self._sizes[0]
        return key.shape[1] // (-(-height // stride) * -(-width // stride))


def _rows(batch: Tensor, start: int, count: int) -> Tensor:
    """Return ``count`` rows of a batch from ``start``, padded with zeros."""
    rows = batch[start : start + count]
    missing = count - len(rows)
    return F.pad(rows, [0, 0] * (rows.dim() - 1) + [0, missing]) if missing else rows


def open_onnx(path: Path, outputs: Sequence[str], provider: str) -> RunGraph:
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
        session = onnxruntime.InferenceSession(path, options, providers=list(dict.fromkeys((provider, CPU))))
    except Exception as error:  # the library's errors have no common class
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"{path}: onnxruntime cannot load it ({reason}); export again") from error
    inputs = [node.name for node in session.get_inputs()]

    def run(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the graph; arrays become tensors without a copy."""
        arrays = {name: given[name].contiguous().numpy() for name in inputs}
        return dict(zip(outputs, map(torch.from_numpy, session.run(outputs, arrays)), strict=True))

    return run
