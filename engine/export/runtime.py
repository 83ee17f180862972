"""Running a folder of graphs: `ExportedModel` is a `Model`, so trackers and memory policies take it."""

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
from aotlab.networks.block import BlockMemory, Memory
from aotlab.networks.temporal import embedding_indices
from aotlab.networks.vos_model import Features, Propagated
from aotlab.utils.errors import InputError

RunGraph = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""a graph: its inputs by name (others are ignored) to its outputs by name"""
SHARED = ("image", "temporal_indices_", *Features._fields)
"""how the names of inputs begin that all groups of objects share"""
CPU = "CPUExecutionProvider"


def exported_tracker(folder: str | Path, *, provider: str = CPU) -> Tracker:
    """A `Tracker` that runs exported graphs.

    Args:
        folder: that `export_model` or ``aotlab export`` wrote.
        provider: of onnxruntime, which copies what it needs to its device and back.

    Raises:
        InputError: no export, broken files, a missing package, an unknown provider.
    """
    model = ExportedModel(Path(folder), provider=provider)
    return Tracker(model, model.description.config)


class ExportedModel(nn.Module):
    """The verbs of `VOSModel` by graphs, on the CPU, for inference; arguments and results as there.

    Objects run in batches of as many groups as were exported, the last one filled up with nothing.
    """

    def __init__(self, folder: Path, *, provider: str = CPU) -> None:
        """Load all graphs; raises as `exported_tracker`."""
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
        """Nothing: graphs are compiled already."""

    def encode(self, image: Tensor) -> Features:
        """Maps of an image 1×3×H×W.

        Raises:
            InputError: it is of another size than the export.
        """
        inside, video = self.description.network_size, self.description.video_size
        if list(image.shape[2:]) != inside:
            raise InputError(
                f"frame: becomes {image.shape[3]}×{image.shape[2]} in the network, but this export is for frames "
                f"of {video[1]}×{video[0]}, which become {inside[1]}×{inside[0]}; "
                "resize the video, or export for its size"
            )
        return Features(**self._results("encode", {"image": image}))

    def assign_identities(self, masks: Tensor) -> list[Tensor]:
        """Identity embeddings of masks B×(m+1)×H×W, m ≤ M."""
        absent = self.config.max_objects + 1 - masks.shape[1]
        masks = F.pad(masks, (0, 0, 0, 0, 0, absent))
        return identities_of(self.config, self._results("assign_identities", {"masks": masks}))

    def propagate(
        self,
        features: Features,
        memory: Memory | None = None,
        identities: Sequence[Tensor] | None = None,
    ) -> Propagated:
        """Carry identities from memory to a frame, or on a reference frame from its own.

        The last stage's embeddings are those to decode; of all others there are maps of their size without channels.

        Raises:
            InputError: long-term memory holds more frames than the export has room for.
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
        """A frame's memory per stage and block."""
        given = {**named_current(propagated.current), **named_identities(identities)}
        return memory_of(self.config, self._results("memorize", given))

    def decode(self, propagated: Propagated, features: Features) -> Tensor:
        """Logits of background and identities."""
        given = {**named_embeddings(propagated.embeddings[-1]), **features._asdict()}
        return self._results("decode", given)["logits"]

    def add_temporal(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys of the first stage as long-term attention compares them."""
        count = self.config.stages[0].temporal_slots
        if not count:
            return query, key
        indices = embedding_indices(self._frames(key), count)
        given = {"key_0_0": query, "long_key_0_0": key, "temporal_indices_0": indices}
        results = self._results("add_temporal", given)
        return results["query"], results["key"]

    def _results(self, name: str, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run a graph for all groups of objects: its outputs, and the results that equal an input or output."""
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
        """Which temporal embeddings the frames in memory take."""
        frames = self._frames(memory[0][0].long.key)
        if frames > self.description.frames:
            raise InputError(
                f"memory: holds {frames} frames, but this export has room for {self.description.frames}; "
                f"export again with memory.frames={frames}"
            )
        counts = {number: stage.temporal_slots for number, stage in enumerate(self.config.stages)}
        return {
            f"temporal_indices_{number}": embedding_indices(frames, count)
            for number, count in counts.items()
            if count
        }

    def _frames(self, key: Tensor) -> int:
        """How many frames these keys of the first stage's long-term memory are of."""
        stride, (height, width) = self.config.stages[0].memory_stride, self._sizes[0]
        return key.shape[1] // (-(-height // stride) * -(-width // stride))


def _rows(batch: Tensor, start: int, count: int) -> Tensor:
    """Rows of a batch from ``start``, with zeros behind the last."""
    rows = batch[start : start + count]
    return (
        torch.cat([rows, rows.new_zeros(count - len(rows), *rows.shape[1:])]) if len(rows) < count else rows
    )


def open_onnx(path: Path, outputs: Sequence[str], provider: str) -> RunGraph:
    """A graph run by onnxruntime, with as many threads as PyTorch has.

    Raises:
        InputError: a broken file, or a provider that is not there.
    """
    import onnxruntime

    known = onnxruntime.get_available_providers()
    if provider not in known:
        raise InputError(
            f"provider {provider}: is not available to onnxruntime here; use one of {', '.join(known)}"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Between two graphs PyTorch works: threads that wait by spinning would take its cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=list(dict.fromkeys((provider, CPU))))
    except Exception as error:  # the library's errors have no common class
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"{path}: onnxruntime cannot load it ({reason}); export again") from error
    inputs = [node.name for node in session.get_inputs()]

    def run(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The arrays of the runtime become tensors without a copy."""
        arrays = {name: given[name].contiguous().numpy() for name in inputs}
        return dict(zip(outputs, map(torch.from_numpy, session.run(outputs, arrays)), strict=True))

    return run
