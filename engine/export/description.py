"""``export.yaml``: the contents of a folder of graphs, for `ExportedModel` and for other programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from aotlab.configs.load import from_tree
from aotlab.configs.schema import BOUNDED_POLICIES, ComputeConfig, Config
from aotlab.configs.yaml_text import read_mapping
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, plain_name, read_text
from aotlab.utils.numbers import LONGEST_SIDE, Range

FILE = "export.yaml"
NEVER = 2**31 - 1
"""frames from one long-term memory to the next where only reference frames are remembered"""


@dataclass(frozen=True)
class GraphDescription:
    """One graph; its file has its name."""

    inputs: dict[str, list[Any]]
    """shapes by name, in order; ``12*frames`` is an axis that grows with the frames in long-term memory"""
    outputs: dict[str, list[Any]]
    same: dict[str, str]
    """further results, and the input or output of the graph that each equals"""


@dataclass(frozen=True)
class Description:
    """A folder of graphs."""

    video_size: list[int]
    """height and width of the video's frames"""
    network_size: list[int]
    """height and width that these are resized to"""
    groups: int
    """of objects in a batch"""
    heads: int
    """of long-term attention in the first block, for memory policies that judge by relevance"""
    graphs: dict[str, GraphDescription]
    config: Config
    """of the model and its memory"""

    @property
    def frames(self) -> int:
        """Frames in long-term memory at most."""
        return self.config.memory.frames


def graph_file(graph: str) -> str:
    """Name of a graph's file."""
    return f"{graph}.onnx"


def exportable(config: Config) -> Config:
    """The settings with a memory that never outgrows ``memory.frames``, and in float32, as graphs compute.

    ``first_frame`` becomes the ``bounded_fifo`` that never remembers a frame by itself: with up to that many given
    masks it is the same, and of more the oldest but the first goes.

    Raises:
        InputError: the policy keeps all frames, or there is no room for a later mask, or short-term memory is several
            frames.
    """
    memory = config.memory
    if memory.policy not in (*BOUNDED_POLICIES, "first_frame"):
        raise InputError(
            f"memory.policy {memory.policy}: keeps all that it takes in, but the memory of exported graphs is bounded; "
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
    return replace(config, memory=memory, compute=ComputeConfig())


def to_text(description: Description) -> str:
    """The text that `read_description` reads."""
    return yaml.safe_dump(
        {"format": "onnx", **asdict(description)}, sort_keys=False, default_flow_style=None, width=120
    )


def read_description(folder: Path) -> Description:
    """Read the description of a folder of graphs.

    Raises:
        InputError: it is not an export, or an incomplete one.
    """
    path = folder / FILE
    if not is_file(path):
        raise InputError(f"{folder}: is not an export, as it has no {FILE}; make one with aotlab export")
    tree = read_mapping(read_text(path, "export again"), str(path))
    try:
        graphs = {
            plain_name(name, "graphs"): GraphDescription(**of) for name, of in tree.pop("graphs").items()
        }
        config = from_tree(tree.pop("config"), str(path))
        if tree.pop("format") != "onnx":
            raise ValueError("format must be onnx")
        description = Description(**tree, graphs=graphs, config=config)
        require_kinds(description)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: does not describe an export ({reason}); export again") from error
    missing = [name for name in map(graph_file, graphs) if not is_file(folder / name)]
    if missing:
        raise InputError(f"{folder}: lacks {', '.join(missing)}; copy the whole folder or export again")
    return description


def require_kinds(description: Description) -> None:
    """Refuse a description with a field of another kind than its annotation says, or outside of all bounds.

    Raises:
        ValueError: which field.
    """
    side, count = Range(1, LONGEST_SIDE, whole=True), Range(1, 1000, whole=True)
    for name in ("video_size", "network_size"):
        size = getattr(description, name)
        if not isinstance(size, list) or len(size) != 2 or not all(pixels in side for pixels in size):
            raise ValueError(f"{name} must be height and width, got {str(size)[:40]}")
    for name in ("groups", "heads"):
        if getattr(description, name) not in count:
            raise ValueError(f"{name} must be {count}, got {str(getattr(description, name))[:40]}")
    for name, graph in description.graphs.items():
        for tensors in (graph.inputs, graph.outputs):
            if not isinstance(tensors, dict) or not all(_is_shape(shape) for shape in tensors.values()):
                raise ValueError(f"graphs.{name} must have shapes by name")
        if not isinstance(graph.same, dict) or not all(isinstance(of, str) for of in graph.same.values()):
            raise ValueError(f"graphs.{name}.same must have names by name")


def _is_shape(shape: object) -> bool:
    return isinstance(shape, list) and all(isinstance(axis, int | str) for axis in shape)
