"""Export of a model to a folder of graphs, written atomically."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aotlab.configs.schema import Config
from aotlab.engine.export.description import (
    FILE,
    Description,
    GraphDescription,
    exportable,
    graph_file,
    to_text,
)
from aotlab.engine.export.graphs import Graph, build_graphs, build_prompt_graphs
from aotlab.networks.preprocess import network_size
from aotlab.networks.vos_model import VOSModel
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, remove, require_writable, sha256
from aotlab.utils.locks import LOCK, locked, remove_leftovers

NEEDED = ("onnx", "onnxscript")
"""packages that write ONNX files"""


def require_packages(*packages: str) -> None:
    """Raise InputError if one of these packages is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"ONNX: {' and '.join(missing)} must be installed; pip install 'aotlab[export]'")


def export_model(
    model: VOSModel,
    config: Config,
    folder: Path,
    *,
    video: tuple[int, int],
    groups: int = 1,
    prompts: bool = False,
    force: bool = False,
) -> Description:
    """Write a model's graphs and ``export.yaml``.

    Args:
        config: ``memory.frames`` bounds long-term memory.
        folder: folder to create; its lock lies beside it.
        video: (height, width) of the frames in pixels.
        groups: number of groups of ``max_objects`` objects in a batch.
        prompts: also write the prompt network, see `build_prompt_graphs`.
        force: replace an earlier export in ``folder``.

    Raises:
        InputError: no prompt network, unbounded memory, missing package, or a folder that cannot be written.
    """
    require_packages(*NEEDED)
    config = exportable(config)
    size = network_size(video, config.input, align_corners=config.model.align_corners)
    require_writable(folder.parent)
    lock = folder.parent / f".{folder.name}{LOCK}"
    with locked(lock, 0, subject=folder), _new_folder(folder, force=force) as temporary:
        remove_leftovers(folder.parent, folder.name)
        graphs = build_graphs(model, size, groups)
        for name, graph in (graphs | (build_prompt_graphs(model, video) if prompts else {})).items():
            _write_onnx(graph, temporary / graph_file(name), config.memory.frames)
        description = Description(
            video_size=list(video), network_size=list(size), groups=groups,
            heads=model.stages[0].blocks[0].heads, config=config,
            graphs={name: _describe(graph, temporary / graph_file(name)) for name, graph in graphs.items()},
        )  # fmt: skip
        (temporary / FILE).write_text(to_text(description), encoding="utf-8")
    return description


@contextmanager
def _new_folder(folder: Path, *, force: bool) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to ``folder`` if the block succeeds."""
    taken = os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir()))
    replaced = force and is_file(folder / FILE)
    if taken and not replaced:
        raise InputError(
            f"output {folder}: exists; choose another folder, or replace an earlier export with --force"
        )
    temporary = folder.parent / f".{folder.name}.{os.getpid()}.part"
    try:
        temporary.mkdir()
        yield temporary
        if replaced:
            remove(folder)
        os.replace(temporary, folder)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror or error}); free space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress the exporters' progress messages and warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@_quietly()
def _write_onnx(graph: Graph, path: Path, frames: int) -> None:
    """Write a graph with its weights to one file (at most 2 GB), for at most ``frames`` stored frames."""
    held, args = torch.export.Dim("frames", min=1, max=frames), tuple(graph.examples.values())
    free: list[dict[int, Any] | None] = []
    for name in graph.examples:
        axis, length = graph.growing.get(name, (None, 0))
        free.append(None if axis is None else {axis: held if length == 1 else length * held})
    shapes = (tuple(free),)
    with torch.no_grad():
        program = torch.export.export(graph.module, args, dynamic_shapes=shapes, strict=False)
    converted = torch.onnx.export(
        program, args=args, dynamic_shapes=shapes, dynamo=True, verbose=False,
        input_names=list(graph.module.inputs), output_names=list(graph.module.outputs),
    )  # fmt: skip
    assert converted is not None
    converted.save(path, external_data=False)


def _describe(graph: Graph, file: Path) -> GraphDescription:
    def shape(name: str, tensor: Tensor) -> list[Any]:
        """Return the shape of an input."""
        sides: list[Any] = list(tensor.shape)
        if name in graph.growing:
            axis, length = graph.growing[name]
            sides[axis] = f"{length}*frames"
        return sides

    return GraphDescription(
        inputs={name: shape(name, tensor) for name, tensor in graph.examples.items()},
        outputs={name: list(graph.results[name].shape) for name in graph.module.outputs},
        same=dict(graph.same),
        sha256=sha256(file),
    )
