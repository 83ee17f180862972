"""Exported models: the graphs of a folder, run by onnxruntime; `tracker.py` describes each graph.

    tensor                        shape, float32 unless stated
    frame                         H×W×3 uint8 RGB
    features_f4, _f8, _f16        1×C4×H'/4×W'/4, 1×C8×H'/8×W'/8, 1×C16×h×w
    features_projected            1×C×h×w
    masks                         1×(1+M)×H'×W', one-hot, background first
    id_embeddings_0               1×L×C
    embeddings_0, _1, …           1×C×h×w; input of the first block, then the normalized output of each
    states_N_*                    1×L×C; keys of block N, and tokens or values before identities are added
    memory_N_long_key, _value     1×L×C from memorize; 1×(T·L)×C, all stored frames, in propagate and relevance
    memory_N_short_key, _value    1×L×C
    logits                        1×(1+M)×H'/4×W'/4, background first
    relevance                     T, each stored frame's share of the attention of foreground tokens (RMem)
    image                         height×width×3 uint8 RGB, a crop of any size
    rough_mask                    height×width in 0 to 1
    planes                        1×3×H'×W': points on the object, points off it, its box; of the crop in its network
    logits, refined_logits        height×width, of prompt; the refined ones have outlines on edges of the image

H×W: a frame of the video, of any size; H'×W': the frame in the network; h×w = H'/16×W'/16: its tokens, L = h·w of them
(all rounded up); C: channels of a token; M: identities; T: stored frames. DeAOT differs: keys have C/2 channels, values
in memory 4C, and embeddings_0 is the output of the last block, with 2C. Later stages of multi-scale models have
id_embeddings and tokens of other sizes; their propagate and reference also read features_f4 and _f8, and decode reads
embeddings_0 only.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime import OrtAllocatorType, OrtMemoryInfo, OrtMemType

from aotlab_runtime.inputs import InputError, describe_error, is_integer_in, shorten

EXPORT_VERSION = 11
"""version of ``export.json``"""
Tensors = dict[str, np.ndarray]
"""inputs and outputs of graphs, by name"""
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
"""onnxruntime's name of each execution provider"""


class Graphs:
    """An exported model: one onnxruntime session per graph."""

    def __init__(self, folder: str | Path, *, provider: str = "cpu", threads: int | None = None) -> None:
        """Load all graphs.

        Args:
            folder: output of ``aotlab export``.
            provider: one of `PROVIDERS`; operators that it does not support run on the CPU.
            threads: number of CPU threads; None: one per core.

        Raises:
            InputError: a changed, damaged or missing file, a provider that is not available, or too little memory.
        """
        execution_provider = require_provider(provider)
        if threads is not None and not is_integer_in(threads, 1, 1024):
            raise InputError(f"threads {shorten(threads)}: must be a whole number from 1 to 1024")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3  # errors only
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # don't busy-wait
        options.add_session_config_entry("session.use_env_allocators", "1")  # one arena for all graphs
        arena = OrtMemoryInfo("Cpu", OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, OrtMemType.DEFAULT)
        with suppress(RuntimeError):  # registered before
            onnxruntime.create_and_register_allocator(arena, None)
        description = read_description(folder)
        try:
            self._sessions = {
                path.stem: onnxruntime.InferenceSession(path, options, providers=[execution_provider])
                for path in map(Path(folder).joinpath, description["sha256"])
                if path.suffix == ".onnx"
            }
        except Exception as error:  # onnxruntime's errors have no common class
            reason = shorten(repr(error), 200)
            raise InputError(
                f"{folder}: onnxruntime {onnxruntime.__version__} cannot load it ({provider}): {reason}"
            ) from error
        self.providers: list[str] = self._sessions["encode"].get_providers()
        """onnxruntime's execution providers, in order of preference"""
        if execution_provider not in self.providers:  # onnxruntime has fallen back to the CPU
            raise InputError(f"provider {provider}: onnxruntime cannot start it; install its libraries")
        self.digest: str = description["digest"]
        """identifies this export"""
        self.network_size: tuple[int, int] = tuple(description["network_size"])
        """(height, width) of the frame in the network, in pixels"""
        self.config: dict[str, Any] = description["config"]
        """settings of the model and its memory"""
        self.prompting: dict[str, float] = description["prompting"]
        """crop sizes, margins and click radius that the prompt network was trained with; empty without one"""
        self.max_objects: int = self.config["model"]["max_objects"]

    def run(self, name: str, tensors: Tensors) -> Tensors:
        """Return the named outputs of a graph, which picks its inputs from ``tensors`` by name."""
        session = self._sessions[name]
        inputs = {node.name: tensors[node.name] for node in session.get_inputs()}
        names = [node.name for node in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))


def require_provider(name: str) -> str:
    """Return onnxruntime's name of one of `PROVIDERS`; raise `InputError` if it is not installed."""
    if name not in [*PROVIDERS]:  # a list, as ``name`` may be of any type
        raise InputError(f"provider {shorten(name)}: unknown; choose one of {', '.join(PROVIDERS)}")
    if PROVIDERS[name] not in onnxruntime.get_available_providers():
        raise InputError(f"provider {name}: not in this onnxruntime; install a variant that has it")
    return PROVIDERS[name]


def read_description(export: str | Path) -> dict[str, Any]:
    """Return the content of an export's ``export.json``; raise `InputError` if a file is missing or changed."""
    try:
        folder = Path(export)
        description: dict[str, Any] = json.loads((folder / "export.json").read_text("utf-8"))
        version = description["version"] if isinstance(description, dict) else None
        if version != EXPORT_VERSION:
            raise ValueError(f"of version {shorten(version)}, expected {EXPORT_VERSION}")
        content = {key: description[key] for key in ("config", "network_size", "prompting")}
        content["sha256"] = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in description["sha256"]
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if description["digest"] != digest:
            raise ValueError("changed or damaged since it was written")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(
            f"{export}: not a usable export ({describe_error(error)}); run aotlab export"
        ) from error
    return description
