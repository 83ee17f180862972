"""Layers of objects in files for compositing: names, and the alpha of each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain, count
from pathlib import Path

import numpy as np

from aotlab_compositing.exr import list_exr_channels
from aotlab_video import FrameSource, OutputContext, TrackedFrame, detect_image_kind

SEPARATORS = re.compile(r'[\s./\\:*?"<>|,\x00-\x1f\x7f]+')
"""Characters that separate layers, folders or names in lists, or that file names cannot have."""


def name_layers(context: OutputContext, ids: Iterable[int]) -> dict[int, str]:
    """Return the layer of each object of the video: class and id, such as ``person.1``; ``person.1_2`` if it is taken.

    A layer is taken if a frame of the plate has it. Names are UTF-8, with _ for `SEPARATORS`.
    """
    taken, layers = list_plate_layers(context.source), dict[int, str]()
    for object_id in sorted({*context.objects, *ids}):
        first = _name_layer(context, object_id)
        free = (name for name in chain([first], (f"{first}_{number}" for number in count(2))) if name not in taken)
        layers[object_id] = next(free)
    return layers


def describe_renamed(context: OutputContext) -> str:
    """Return a sentence about the layers that are called otherwise because the plate has theirs; empty without any."""
    layers = name_layers(context, ())
    renamed = [name for object_id, name in layers.items() if name != _name_layer(context, object_id)]
    return f"the plate has layers of the same names, so new ones are {', '.join(renamed)}" if renamed else ""


def _name_layer(context: OutputContext, object_id: int) -> str:
    class_name = context.classes.class_names.get(object_id, "object")
    return f"{SEPARATORS.sub('_', unicodedata.normalize('NFC', class_name))}.{object_id}"


@lru_cache(maxsize=1)
def list_plate_layers(source: FrameSource) -> frozenset[str]:
    """Return the names of the layers of all frames that are EXR files."""
    files = (find_exr(source, index) for index in range(source.length or 0))
    channels = {name for file in files if file is not None for name in list_exr_channels(file)}
    return frozenset(name.rpartition(".")[0] for name in channels)


def find_exr(source: FrameSource, index: int) -> Path | None:
    """Return the EXR file of a frame; None if the frame is stored otherwise."""
    file = source.file(index)
    return file if file is not None and detect_image_kind(file) == "exr" else None


def read_alphas(tracked: TrackedFrame, context: OutputContext) -> dict[str, np.ndarray]:
    """Return the alpha of every object of the video by layer: H×W float32, 0 before its first frame."""
    alphas = dict(zip(tracked.ids, tracked.probabilities, strict=True))
    empty = np.zeros(tracked.labels.shape, np.float32)
    return {name: alphas.get(object_id, empty) for object_id, name in name_layers(context, tracked.ids).items()}
