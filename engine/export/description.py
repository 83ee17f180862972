"""``export.yaml``: description of a folder of graphs, for `ExportedModel` and other programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from aotlab.configs.load import from_tree, read_mapping
from aotlab.configs.schema import BOUNDED_POLICIES, ComputeConfig, Config
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, plain_name, read_text, sha256
from aotlab.utils.versioned_json import Kind, reading_own, unwrap, wrap

FILE = "export.yaml"
EXPORT = Kind("export", 1, "export again")
NEVER = 2**31 - 1
"""interval in frames between additions to long-term memory if only reference frames are stored"""


@dataclass(frozen=True)
class GraphDescription:
    """One graph, stored in a file of its name."""

    inputs: dict[str, list[Any]]
    """shapes by name, in order; ``12*frames``: an axis that grows with the frames in long-term memory"""
    outputs: dict[str, list[Any]]
    same: dict[str, str]
    """further results by name, with the input or output of the graph that each equals"""
    sha256: str
    """digest of its file"""


@dataclass(frozen=True)
class Description:
    """A folder of graphs."""

    video_size: list[int]
    """[height, width] of the video's frames"""
    network_size: list[int]
    """[height, width] of the resized frames"""
    groups: int
    """number of groups of objects in a batch"""
    heads: int
    """heads of long-term attention in the first block, for memory policies that need relevance"""
    graphs: dict[str, GraphDescription]
    config: Config
    """settings of the model and its memory"""

    @property
    def frames(self) -> int:
        """Largest number of frames in long-term memory."""
        return self.config.memory.frames


def graph_file(graph: str) -> str:
    """Return the file name of a graph."""
    return f"{graph}.onnx"


def exportable(config: Config) -> Config:
    """Return the settings of graphs: float32, one size of frames, and a memory of at most ``memory.frames``.

    ``first_frame`` becomes a ``bounded_fifo`` that stores reference frames only, the same for up to that many masks.

    Raises:
        InputError: a policy without a bound, no room for a later mask, or several frames of short-term memory.
    """
    memory = config.memory
    if memory.policy not in (*BOUNDED_POLICIES, "first_frame"):
        raise InputError(
            f"memory.policy {memory.policy}: keeps all frames, but the memory of exported graphs is bounded; "
            "add memory.policy=bounded_fifo memory.frames=4"
        )
    if memory.frames < 2:
        raise InputError(
            f"memory.frames {memory.frames}: give at least 2, so that a mask given later has room besides the first"
        )
    if memory.short_term_frames > 1:
        raise InputError(
            f"memory.short_term_frames {memory.short_term_frames}: exported graphs read one; "
            "add memory.short_term_frames=1"
        )
    if memory.policy == "first_frame":
        memory = replace(memory, policy="bounded_fifo", every=NEVER)
    fixed = replace(config.input, min_object=None)
    return replace(config, memory=memory, compute=ComputeConfig(), input=fixed)


def to_text(description: Description) -> str:
    """Return the content of ``export.yaml``."""
    content = wrap(EXPORT, asdict(description))
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120)


def read_description(folder: Path) -> Description:
    """Read the description of a folder of graphs and check digests; raises `InputError` if anything was changed."""
    path = folder / FILE
    if not is_file(path):
        raise InputError(f"{folder}: not an export, {FILE} is missing; create one with aotlab export")
    with reading_own(path, EXPORT):
        tree = unwrap(EXPORT, read_mapping(read_text(path, "export again"), str(path), plain=True))
        graphs = {plain_name(name, FILE): GraphDescription(**of) for name, of in tree.pop("graphs").items()}
        config = from_tree(tree.pop("config"), str(path))
        description = Description(**tree, graphs=graphs, config=config)
    for name, graph in graphs.items():
        file = folder / graph_file(name)
        if not is_file(file) or sha256(file) != graph.sha256:
            raise InputError(
                f"{file}: missing, or not the graph that was exported; copy the whole folder or export again"
            )
    return description
