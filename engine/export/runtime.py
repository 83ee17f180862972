"""Running a folder of graphs: `ExportedModel` has the verbs of `VOSModel`, so trackers and policies take it as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.engine.export.description import read_description
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
from aotlab.engine.export.writing import require_format
from aotlab.engine.tracker import Tracker
from aotlab.networks.block import BlockMemory
from aotlab.networks.temporal import embedding_indices
from aotlab.networks.vos_model import Features, Propagated, StageMemory, VOSModel
from aotlab.utils.errors import InputError

Run = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""a graph: its inputs by name (others are ignored) to its outputs by name"""
SHARED = ("image", "slots_", *Features._fields)
"""how inputs begin that all groups of objects share"""
CPU = "CPUExecutionProvider"


def exported_tracker(folder: str | Path, *, provider: str = CPU) -> Tracker:
    """A `Tracker` that runs exported graphs.

    Args:
        folder: that `export_model` or ``tools/export.py`` wrote.
        provider: of onnxruntime, which copies what it needs to its device and back; for ONNX files.

    Raises:
        InputError: no export, broken files, a missing package, an unknown provider.
    """
    model = ExportedModel(Path(folder), provider=provider)
    return Tracker(cast(VOSModel, model), model.description.config)


class ExportedModel(nn.Module):
    """The verbs of `VOSModel` by graphs, on the CPU, for inference; arguments and results as there.

    Objects run in batches of as many groups as were exported, the last one filled up with nothing.
    """

    def __init__(self, folder: Path, *, provider: str = CPU) -> None:
        """Load all graphs; raises as `exported_tracker`."""
        super().__init__()
        self.description = read_description(folder)
        self.config = self.description.config.model
        require_format(self.description.format, ["onnxruntime"])
        self._run: dict[str, Run] = {}
        for name, graph in self.description.graphs.items():
            path, outputs = folder / self.description.file(name), list(graph.outputs)
            if self.description.format == "onnx":
                self._run[name] = open_onnx(path, outputs, provider)
            else:
                self._run[name] = open_program(path, list(graph.inputs), outputs)
        self._sizes = map_sizes(self.config, self.description.network_size)

    @property
    def stages(self) -> Sequence[Any]:
        """What memory policies ask of the first stage: its temporal embedding and its blocks' heads."""
        temporal = self._place if self.config.stages[0].temporal_slots else None
        return [SimpleNamespace(temporal=temporal, blocks=[SimpleNamespace(heads=self.description.heads)])]

    def folded(self) -> ExportedModel:
        """Itself: in graphs everything is folded already."""
        return self

    def compile_parts(self) -> None:
        """Nothing: graphs are compiled already."""

    def encode(self, image: Tensor) -> Features:
        """Maps of an image 1×3×H×W.

        Raises:
            InputError: it is of another size than the export.
        """
        own, video = self.description.network_size, self.description.video_size
        if list(image.shape[2:]) != own:
            raise InputError(
                f"frame: becomes {image.shape[3]}×{image.shape[2]} in the network, but this export is for frames of "
                f"{video[1]}×{video[0]}, which become {own[1]}×{own[0]}; resize the video, or export with its --size"
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
        memory: StageMemory | None = None,
        identities: Sequence[Tensor] | None = None,
    ) -> Propagated:
        """Carry identities from memory to a frame, or on a reference frame from its own.

        Of all embeddings, those to decode are there; the others are maps of their size without channels.

        Raises:
            InputError: long-term memory holds more frames than the export has room for.
        """
        if memory is None:
            assert identities is not None
            results = self._results("reference", {**features._asdict(), **named_identities(identities)})
        else:
            given = {**features._asdict(), **named_memory(memory), **self._slots(memory)}
            results = self._results("propagate", given)
        handed = embeddings_of(results)
        sizes = [handed[-1].new_empty(len(handed[-1]), 0, *size) for size in self._sizes]
        return Propagated([*([own] for own in sizes[:-1]), handed], current_of(self.config, results))

    def memorize(self, propagated: Propagated, identities: Sequence[Tensor]) -> list[list[BlockMemory]]:
        """A frame's memory per stage and block."""
        given = {**named_current(propagated.current), **named_identities(identities)}
        return memory_of(self.config, self._results("memorize", given))

    def decode(self, propagated: Propagated, features: Features) -> Tensor:
        """Logits of background and identities."""
        given = {**named_embeddings(propagated.embeddings[-1]), **features._asdict()}
        return self._results("decode", given)["logits"]

    def _results(self, name: str, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run a graph for all groups of objects: its outputs, and what it need not give as that is known already."""
        graph = self.description.graphs[name]
        batched = [own for own in graph.inputs if not own.startswith(SHARED)]
        count, size = len(given[batched[0]]) if batched else 1, self.description.groups
        if not batched or count == size:
            results = self._run[name](given)
        else:
            parts = []
            for start in range(0, count, size):
                rows = {own: _rows(given[own], start, size) for own in batched}
                parts.append(self._run[name]({**given, **rows}))
            results = {own: torch.cat([part[own] for part in parts])[:count] for own in graph.outputs}
        known = {**given, **results}
        return {**results, **{own: known[source] for own, source in graph.same.items()}}

    def _slots(self, memory: StageMemory) -> dict[str, Tensor]:
        """The slots of temporal embeddings that the frames in memory take."""
        frames = self._frames(memory[0][0].long.key)
        if frames > self.description.frames:
            raise InputError(
                f"memory: holds {frames} frames, but this export has room for {self.description.frames}; "
                f"export again with memory.frames={frames}"
            )
        slots = {number: stage.temporal_slots for number, stage in enumerate(self.config.stages)}
        return {
            f"slots_{number}": embedding_indices(frames, count) for number, count in slots.items() if count
        }

    def _frames(self, key: Tensor) -> int:
        """How many frames these keys of the first stage's long-term memory are of."""
        stride, (height, width) = self.config.stages[0].memory_stride, self._sizes[0]
        return key.shape[1] // (-(-height // stride) * -(-width // stride))

    def _place(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """The first stage's temporal embedding."""
        slots = embedding_indices(self._frames(key), self.config.stages[0].temporal_slots)
        results = self._results("place", {"key_0_0": query, "long_key_0_0": key, "slots_0": slots})
        return results["placed_query"], results["placed_key"]


def _rows(own: Tensor, start: int, count: int) -> Tensor:
    """Rows of a batch from ``start``, with empty ones behind the last."""
    rows = own[start : start + count]
    return (
        torch.cat([rows, rows.new_zeros(count - len(rows), *rows.shape[1:])]) if len(rows) < count else rows
    )


def open_onnx(path: Path, outputs: Sequence[str], provider: str) -> Run:
    """A graph run by onnxruntime, with as many threads as PyTorch has.

    Raises:
        InputError: a broken file, or a provider that is not there.
    """
    import onnxruntime

    known = onnxruntime.get_available_providers()
    if provider not in known:
        raise InputError(
            f"--provider {provider}: onnxruntime has none such here; use one of {', '.join(known)}"
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
    inputs = [own.name for own in session.get_inputs()]

    def run(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The arrays of the runtime become tensors without a copy."""
        arrays = {name: given[name].contiguous().numpy() for name in inputs}
        return dict(zip(outputs, map(torch.from_numpy, session.run(outputs, arrays)), strict=True))

    return run


def open_program(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Run:
    """A program of torch.export; raises InputError for a broken file, or one of another version of PyTorch."""
    try:
        module = torch.export.load(path).module()
    except Exception as error:  # whatever reading an archive raises
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"{path}: torch.export cannot load it ({reason}); export again") from error

    def run(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs in their order."""
        return dict(zip(outputs, module(*(given[name] for name in inputs)), strict=True))

    return run
