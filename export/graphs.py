"""Methods of a model as functions of tensors, which ``torch.export`` can trace.

Reference frames read no memory and have a separate graph, ``reference``. A graph processes one group of objects. The
video's frames may have any size, and ``decode`` any number of objects. Long-term memory holds a varying number of
frames, so attention needs no mask and is exact; all other shapes are fixed, except in the prompt graph. Tensors have
names: ``memory_1_long_key`` is the key of long-term memory of block 1, counted over all stages;
``packages/runtime/src/aotlab_runtime/graphs.py`` describes the graphs. Methods that you add can be exported if the
states of their blocks are NamedTuples of tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aotlab.configs.schema import MemoryConfig
from aotlab.engine.memory.relevance import compute_relevance
from aotlab.export.planes import LEFT_TOP, NEGATIVE, POSITIVE, RIGHT_BOTTOM, draw_prompt_planes
from aotlab.export.resize import resize_bicubic, resize_nearest
from aotlab.networks.attention import Attention, LocalAttention
from aotlab.networks.fast.attention import dense_local_attention, fused_attention, tiled_local_attention
from aotlab.networks.fast.convolutions import fuse_encoders
from aotlab.networks.fast.optimize import set_kernel
from aotlab.networks.model import BlockMemory, Features, KeyValue, PropagatedFrame, VOSModel
from aotlab.networks.preprocess import STRIDE, normalize
from aotlab.prompting import network
from aotlab.prompting.guided_filter import guided_filter
from aotlab.prompting.planes import MIN_CROP
from aotlab.prompting.prompt_network import PromptNetwork
from aotlab.utils.errors import require

PROMPTING = {
    "frame_edge": network.FRAME_EDGE,
    "crop_edge": network.CROP_EDGE,
    "min_crop": MIN_CROP,
    "coarse_margin": network.COARSE_MARGIN,
    "refine_margin": network.REFINE_MARGIN,
    "box_margin": network.BOX_MARGIN,
    "max_part_distance": network.MAX_PART_DISTANCE,
    "excluded_logit": network.EXCLUDED,
}
"""Settings of `NetworkSegmenter` that runtimes share."""
EXAMPLE_FRAMES = 2
"""Number of frames in long-term memory when propagate is traced; `torch.export` makes an axis of length 1 constant."""
RELEVANCE_ROWS = 256
"""Queries whose attention is in memory at once."""
EXAMPLE_SIDE = 40
"""Height in pixels of the frame that encode is traced with."""

Network = TypeVar("Network", bound=nn.Module)
FreeAxes = Mapping[str, dict[int, Any]]
"""Dynamic axes by the name of the input: a `torch.export.Dim`, or an expression of one."""
FRAME_AXES = {0: torch.export.Dim("height"), 1: torch.export.Dim("width")}
GraphFunction = Callable[..., Any]
"""Function of a model and arguments by name; returns tensors in nested dicts, lists and NamedTuples."""


def name_tensors(values: Any) -> dict[str, Tensor]:
    """Name the tensors in nested dicts, lists and NamedTuples by their place: ``memory_1_long_key``."""
    tensors = {}

    def add(name: str, tensor: Tensor) -> None:
        tensors[name] = tensor

    map_tensors(add, values)
    return tensors


def map_tensors(function: Callable[[str, Tensor], Any], values: Any, *place: str) -> Any:
    """Replace each tensor by ``function(name, tensor)``; for names, see `name_tensors`."""
    if isinstance(values, Tensor):
        return function("_".join(place), values)
    if isinstance(values, Mapping):
        return {name: map_tensors(function, value, *place, name) for name, value in values.items()}
    if isinstance(values, list):
        return [map_tensors(function, value, *place, str(index)) for index, value in enumerate(values)]
    if hasattr(values, "_asdict"):
        return type(values)(**map_tensors(function, values._asdict(), *place))
    return values


def _encode(model: VOSModel, frame: Tensor, size: tuple[int, int]) -> dict[str, Any]:
    """Encode a frame H×W×3 uint8 of any size."""
    image = resize_bicubic(frame.permute(2, 0, 1).float() / 255, size)
    return {"features": model.encode(normalize(image[None]))}


def _assign_identities(model: VOSModel, labels: Tensor, ids: Tensor, size: tuple[int, int]) -> dict[str, Any]:
    """Embed the objects of labels H×W int32 of any size; ``ids``: M object ids by identity, -1 without an object."""
    masks = (resize_nearest(labels, size) == ids[:, None, None]).float()
    background = 1 - masks.sum(0, keepdim=True)
    id_embeddings = model.assign_identities(torch.cat([background, masks])[None])
    return {"id_embeddings": id_embeddings, "areas": masks.sum((1, 2))}


def nest_by_stage(model: VOSModel, values: Sequence[Any]) -> list[list[Any]]:
    """Nest one value per block, in the order in which blocks run, as ``values[stage][block]``."""
    remaining = iter(values)
    return [[next(remaining) for _ in blocks] for blocks in model.stage_blocks]


def _propagate(
    model: VOSModel,
    features: Features,
    memory: list[BlockMemory] | None = None,
    id_embeddings: list[Tensor] | None = None,
    memory_ages: Tensor | None = None,
) -> dict[str, Any]:
    """Propagate without what only training reads; ``memory_ages``: T int32, see `BlockMemory`."""
    nested = None
    if memory is not None and memory_ages is not None:
        nested = nest_by_stage(model, [block._replace(ages=memory_ages.long()) for block in memory])
    propagated = model.propagate(features, nested, id_embeddings)
    return {"embeddings": propagated.embeddings, "states": [*chain(*propagated.states)], "sizes": propagated.sizes}


def _memorize(
    model: VOSModel, states: list[Any], id_embeddings: list[Tensor], sizes: list[tuple[int, int]]
) -> dict[str, Any]:
    """Memorize a frame whose stages have maps of ``sizes``, (h, w) in tokens."""
    propagated = PropagatedFrame(torch.empty(0), nest_by_stage(model, states), sizes)
    return {"memory": [*chain(*model.memorize(propagated, id_embeddings))]}


def _decode(
    model: VOSModel, embeddings: Tensor, features: Features, frame: Tensor, identities: Tensor
) -> dict[str, Any]:
    """Decode the logits of n identities at the size of the frame, of which only the shape is read."""
    logits = model.decode(PropagatedFrame(embeddings, [], []), features)
    channels = logits.index_select(1, F.pad(identities, (1, 0)))  # 0: background
    align_corners = model.config.align_corners
    resized = F.interpolate(channels, frame.shape[:2], mode="bilinear", align_corners=align_corners)
    return {"logits": resized[0], "identity_logits": logits}


def _compute_relevance(
    model: VOSModel,
    states: list[Any],
    memory_0_long_key: Tensor,
    identity_logits: Tensor,
    sizes: list[tuple[int, int]],
    frame_tokens: int,
) -> dict[str, Any]:
    """Compute each stored frame's share of the foreground's attention, T; the key is named as in memory.

    ``frame_tokens``: tokens that long-term memory keeps of a frame.
    """
    frames = memory_0_long_key.shape[1] // frame_tokens
    propagated = PropagatedFrame(torch.empty(0), [states], sizes)
    frame_relevance = compute_relevance(model, propagated, identity_logits, memory_0_long_key, frames, RELEVANCE_ROWS)
    return {"relevance": frame_relevance.shares}


def _segment_prompts(
    prompts: PromptNetwork, image: Tensor, points: Tensor, labels: Tensor, rough_mask: Tensor, canvas: Tensor
) -> dict[str, Any]:
    """Segment an object of a crop, resized to the shape of ``canvas``; for points, see `draw_prompt_planes`."""
    size, pixels = (canvas.shape[0], canvas.shape[1]), image.permute(2, 0, 1).float()
    planes = draw_prompt_planes(points, labels, (image.shape[0], image.shape[1]), size)
    resized, rough = (
        F.interpolate(maps[None], size, mode="bilinear", antialias=True) for maps in (pixels / 255, rough_mask[None])
    )
    logits = prompts(prompts.encode(normalize(resized)), torch.cat([planes[None], rough.clamp(0, 1)], 1))
    align_corners = prompts.config.align_corners
    logits = F.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=align_corners)[0, 0]
    filter_size = size[0] // 2, size[1] // 2
    return {"logits": logits, "refined_logits": guided_filter(logits, pixels, filter_size, network.FILTER_RADIUS)}


class Graph(nn.Module):
    """A method of a model as a function of tensors, with named inputs and outputs in a fixed order."""

    def __init__(self, model: nn.Module, method: GraphFunction, axes: FreeAxes | None = None, **arguments: Any) -> None:
        """Run the method on example arguments; those without tensors become constants of the graph.

        ``axes``: axes of any length, by the name of the input; all others have the length of the example.
        """
        super().__init__()
        self.model, self.method, self.arguments = model, method, arguments
        self.axes = axes or {}
        # cloned because the exporter makes shapes of aliased inputs symbolic
        self.inputs = {name: x.clone() for name, x in name_tensors(arguments).items()}
        self.results = self._call(self.inputs)
        self.outputs = name_tensors(self.results)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Take tensors in the order of `inputs`; return them in the order of `outputs`."""
        return tuple(name_tensors(self._call(dict(zip(self.inputs, tensors, strict=True)))).values())

    def _call(self, tensors: Mapping[str, Tensor]) -> Any:
        """Call the method with tensors by name in place of those of the example arguments."""
        arguments = map_tensors(lambda name, _: tensors[name], self.arguments)
        return self.method(self.model, **arguments)


def build_graphs(
    model: VOSModel, size: tuple[int, int], settings: MemoryConfig, *, fused: bool = False
) -> dict[str, Graph]:
    """Build the graphs of a model, by name, for an input of (height, width) pixels in the network.

    Every method runs once: its outputs are examples for later graphs, and its caches are filled with real values.
    ``settings``: ``frames`` bounds long-term memory; only ``rmem`` has the graph ``relevance``. ``fused``: see
    `ExportOptions`.
    """
    model, generator = _copy_exportable(model), torch.Generator().manual_seed(0)
    if fused:
        set_kernel(model, Attention, fused_attention)
    with torch.no_grad():
        frame = torch.randint(256, (EXAMPLE_SIDE, EXAMPLE_SIDE + 1, 3), dtype=torch.uint8, generator=generator)
        encode = Graph(model, _encode, {"frame": FRAME_AXES}, frame=frame, size=size)
        features = encode.results["features"]
        max_objects = model.config.max_objects
        labels = torch.randint(max_objects + 1, frame.shape[:2], dtype=torch.int32, generator=generator)
        ids = torch.arange(1, max_objects + 1, dtype=torch.int32)
        assign = Graph(model, _assign_identities, {"labels": FRAME_AXES}, labels=labels, ids=ids, size=size)
        id_embeddings = assign.results["id_embeddings"]
        reference = Graph(model, _propagate, features=features, id_embeddings=id_embeddings)
        embeddings, states, sizes = reference.results.values()
        for state in states:
            require(
                hasattr(state, "_fields"),
                "to be exported, the state of a block must be a NamedTuple of tensors",
                subject=type(state).__name__,
            )
        memorize = Graph(model, _memorize, states=states, id_embeddings=id_embeddings, sizes=sizes)
        memory, axes = _build_example_memory(memorize.results["memory"], settings.frames)
        decode = Graph(
            model,
            _decode,
            {"frame": FRAME_AXES, "identities": {0: torch.export.Dim("objects", min=1, max=max(2, max_objects))}},
            embeddings=embeddings,
            features=features,
            frame=frame,
            identities=torch.ones(2, dtype=torch.int32),
        )
        graphs = {
            "encode": encode,
            "assign_identities": assign,
            "reference": reference,
            "propagate": Graph(
                model,
                _propagate,
                axes,
                features=features,
                memory=memory,
                memory_ages=torch.arange(EXAMPLE_FRAMES, 0, -1, dtype=torch.int32),
            ),
            "memorize": memorize,
            "decode": decode,
        }
        if settings.policy == "rmem":
            graphs["relevance"] = Graph(
                model,
                _compute_relevance,
                axes,
                states=states[:1],
                memory_0_long_key=memory[0].long.key,
                identity_logits=decode.results["identity_logits"],
                sizes=sizes,
                frame_tokens=memorize.results["memory"][0].long.key.shape[1],
            )
        return graphs


def _build_example_memory(frame_memory: Sequence[BlockMemory], max_frames: int) -> tuple[list[BlockMemory], FreeAxes]:
    """Return memory in which a frame is stored `EXAMPLE_FRAMES` times, and its axes, up to ``max_frames`` frames."""
    memory = [
        BlockMemory(KeyValue(*(x.repeat(1, EXAMPLE_FRAMES, 1) for x in block.long)), block.short)
        for block in frame_memory
    ]
    frames = torch.export.Dim("frames", min=1, max=max_frames)
    tensors = name_tensors({"memory": memory})
    axes = {name: {1: x.shape[1] // EXAMPLE_FRAMES * frames} for name, x in tensors.items() if "_long_" in name}
    return memory, {**axes, "memory_ages": {0: frames}}


def build_prompt_graph(prompts: PromptNetwork) -> Graph:
    """Build the graph of a prompt network for a crop of any size, the runtime's ``Graphs.segment_prompt``."""
    prompts = _copy_exportable(prompts, dense_local_attention)  # its maps have any size
    align_corners, generator = prompts.config.align_corners, torch.Generator().manual_seed(0)
    image = torch.randint(256, (EXAMPLE_SIDE, EXAMPLE_SIDE + 1, 3), dtype=torch.uint8, generator=generator)
    size = network.crop_input_size((3, 4), network.CROP_EDGE, align_corners=align_corners)
    canvas = torch.zeros(size, dtype=torch.uint8)
    points = torch.tensor([(20.0, 9), (5, 30), (3, 4), (30, 35)])
    labels = torch.tensor([POSITIVE, NEGATIVE, LEFT_TOP, RIGHT_BOTTOM], dtype=torch.int32)
    points_axis = {0: torch.export.Dim("points", min=1)}
    rows, columns = (torch.export.Dim(name, min=2, max=network.FRAME_EDGE // STRIDE) for name in ("rows", "columns"))
    extra = int(align_corners)
    axes = {
        "image": FRAME_AXES,
        "points": points_axis,
        "labels": points_axis,
        "rough_mask": FRAME_AXES,
        "canvas": {0: STRIDE * rows + extra, 1: STRIDE * columns + extra},
    }
    rough_mask = image[..., 0].float() / 255
    with torch.no_grad():
        return Graph(
            prompts,
            _segment_prompts,
            axes,
            image=image,
            points=points,
            labels=labels,
            rough_mask=rough_mask,
            canvas=canvas,
        )


def _copy_exportable(model: Network, kernel: Callable[..., Tensor] = tiled_local_attention) -> Network:
    """Copy a model for inference, with fused encoders; ``kernel`` computes local attention."""
    model = deepcopy(model).cpu().float().eval().requires_grad_(False)
    set_kernel(model, LocalAttention, kernel)
    fuse_encoders(model)
    return model
