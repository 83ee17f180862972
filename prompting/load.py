"""Loading of segmenters: a prompt network or ONNX files."""

from __future__ import annotations

import glob
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.configs.files import BUNDLED_PROMPTS
from aotlab.media.prompt import Prompt
from aotlab.prompting.segmenter import PromptSegmenter
from aotlab.utils.digests import InputDigests, digest_values
from aotlab.utils.errors import require
from aotlab.utils.plugins import TRACKER_PLUGINS, find_plugin


def load_segmenter(
    source: str | Sequence[Path] | None = None, *, checkpoint: Path = BUNDLED_PROMPTS, device: str = "auto"
) -> PromptSegmenter:
    """Return the segmenter of a plug-in's tracker or of two ONNX files, or else of a prompt network.

    Args:
        source: name of a tracker with a segmenter, or encoder and decoder of a SAM-like model as ONNX files.
        checkpoint: file of a prompt network, loaded at the first prompt.
        device: device of the prompt network, as in `TrackerOptions`.

    Raises:
        InputError: files that cannot be used.
    """
    if isinstance(source, str):
        return find_segmenting_loader(source, device).load_segmenter()
    if source is not None:
        from aotlab.prompting.onnx import OnnxSegmenter

        return OnnxSegmenter(*source)
    return CheckpointSegmenter(checkpoint, device)


def find_segmenting_loader(name: str, device: str = "auto") -> Any:
    """Return the loader, with ``load_segmenter``, of a plug-in's tracker; raise `InputError` if it has no segmenter."""
    loader = find_plugin(TRACKER_PLUGINS, name.partition(":")[0])(name, {}, device)
    has_segmenter = hasattr(loader, "load_segmenter")
    require(has_segmenter, "has no segmenter", subject=f"tracker {name}", remedy="give another name, or two ONNX files")
    return loader


def describe_segmenter(source: str | Sequence[Path] | None, digests: InputDigests) -> list[Any]:
    """Return what the masks of a segmenter depend on: the fingerprint of a plug-in's, or digests of files.

    ``source``: as in `load_segmenter`.
    """
    if isinstance(source, str):
        return [find_segmenting_loader(source).fingerprint(digests)]
    return [_digest_network(path, digests) for path in source or [BUNDLED_PROMPTS]]


def _digest_network(path: Path, digests: InputDigests) -> str:
    """Return the digest of an ONNX file, and of files of the same name with its weights."""
    files = sorted(file for file in path.parent.glob(f"{glob.escape(path.stem)}.*") if file.is_file())
    return digest_values((file.name, digests.digest(file)) for file in files)


class CheckpointSegmenter(PromptSegmenter):
    """Segmenter of a file of a prompt network, which is loaded at the first prompt, with PyTorch. Thread-safe."""

    def __init__(self, checkpoint: Path, device: str) -> None:
        self._checkpoint, self._device = checkpoint, device
        self._lock = threading.Lock()
        self._segmenter: PromptSegmenter | None = None

    def segment(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Segment objects, as `PromptSegmenter.segment`; raises `InputError` if the file cannot be read."""
        with self._lock:
            if self._segmenter is None:
                from aotlab.prompting.network import NetworkLoader, NetworkSegmenter
                from aotlab.prompting.weights import load_prompt_network
                from aotlab.utils.devices import pick_device

                device = pick_device(self._device)
                self._segmenter = NetworkSegmenter(NetworkLoader(load_prompt_network(self._checkpoint), device))
            return self._segmenter.segment(frame, prompts)
