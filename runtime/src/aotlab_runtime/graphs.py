"""Exported models: the graphs of a folder, run by onnxruntime."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from aotlab_runtime.inputs import InputError, is_integer, require

KIND, VERSION = "export", 10
DESCRIPTION_FILE = "export.json"
MAX_THREADS = 1024
Tensors = dict[str, np.ndarray]
"""inputs and outputs of graphs, by name"""
GRAPHS = {
    "encode": "frame H×W×3 uint8 → features: maps 1×C×h×w of strides 4, 8 and 16, and the last one projected",
    "assign_identities": "one-hot masks 1×(1+M)×H×W, background first → identities: embeddings 1×L×C (E in AOT)",
    "reference": "features, identities → embeddings 1×C×h×w, states 1×L×C; the frame attends to its own identities",
    "propagate": "features, long-term memory 1×(T·L)×C, short-term memory 1×L×C → embeddings, states",
    "decode": "embeddings, features → logits 1×(1+M)×h×w at stride 4, background first",
    "memorize": "states, identities → the frame's keys and values 1×L×C in long-term and short-term memory",
    "relevance": "states, long-term memory, logits → share T of the foreground's attention to each stored frame (RMem)",
    "prompt": "crop H×W×3 uint8, planes of prompts 1×3×h×w, rough mask H×W → logits and refined logits H×W",
}
"""inputs and outputs of the graphs of AOT, for M identities, T stored frames and L = h·w tokens at stride 16. Keys and
values of DeAOT have other channels, and pyramids have inputs of each stage. Not every model has the last two."""
CPU = "CPUExecutionProvider"
PROVIDERS = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
"""onnxruntime's execution providers by short name"""


class Graphs:
    """The methods of an exported model."""

    def __init__(self, folder: str | Path, *, provider: str = "cpu", threads: int | None = None) -> None:
        """Load all graphs.

        Args:
            folder: output of ``aotlab export``.
            provider: one of `PROVIDERS`; operators that it lacks run on the CPU.
            threads: number of CPU threads from 1 to `MAX_THREADS`; None: one per core.

        Raises:
            InputError: not an export, changed or damaged files, a provider that is not available, or another
                number of threads.
        """
        folder = Path(folder)
        description = _read_description(folder)
        self.network_size: tuple[int, int] = tuple(description["network_size"])
        """(height, width) of the frame in the network, in pixels"""
        self.config: dict[str, Any] = description["config"]
        """settings of the model and its memory"""
        self.prompting: dict[str, float] = description["prompting"]
        """sizes with which the prompt network was trained; empty without that network"""
        model = self.config["model"]
        self.max_objects: int = model["max_objects"]
        self.align_corners: bool = model["align_corners"]
        self.stride: int = model["stages"][0]["stride"]
        self.digest: str = description["digest"]
        """digest of the settings and all files"""
        require(
            threads is None or (is_integer(threads) and 1 <= threads <= MAX_THREADS),
            f"threads {threads!r}: give a number from 1 to {MAX_THREADS}, or None for one per core",
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting costs no CPU time
        providers = list(dict.fromkeys((find_provider(provider), CPU)))
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        for path in (folder / f"{name}.onnx" for name in GRAPHS if f"{name}.onnx" in description["sha256"]):
            try:
                self._sessions[path.stem] = onnxruntime.InferenceSession(path, options, providers=providers)
            except Exception as error:  # onnxruntime's errors have no common class
                reason = (str(error).splitlines() or [""])[0][:200]
                raise InputError(f"{path}: onnxruntime cannot load it ({reason}); export again") from error

    def run(self, name: str, tensors: Tensors) -> Tensors:
        """Return the named outputs of a graph, which picks its inputs from ``tensors`` by name."""
        session = self._sessions[name]
        inputs = {node.name: np.ascontiguousarray(tensors[node.name]) for node in session.get_inputs()}
        names = [node.name for node in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))


def find_provider(name: str) -> str:
    """Return onnxruntime's name of one of `PROVIDERS`; raise `InputError` if it is not available."""
    available = onnxruntime.get_available_providers()
    names = {short: provider for short, provider in PROVIDERS.items() if provider in available}
    require(
        name in names, f"provider {name}: not available in onnxruntime here; choose one of {', '.join(names)}"
    )
    return names[name]


def _read_description(folder: Path) -> dict[str, Any]:
    """Read ``export.json`` and check the digests of all files."""
    path = folder / DESCRIPTION_FILE
    try:
        description = json.loads(path.read_text("utf-8"))
        content = {
            key: value for key, value in description.items() if key not in ("kind", "version", "digest")
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if (description["kind"], description["version"], description["digest"]) != (KIND, VERSION, digest):
            raise ValueError("changed, or written by another version")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{folder}: not an export ({str(error)[:100]}); run aotlab export") from error
    for name, expected in description["sha256"].items():
        file = folder / name
        require(
            file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == expected,
            f"{file}: missing, or not the file that was exported; copy the whole folder or export again",
        )
    return description
