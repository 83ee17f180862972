"""Exported models: the graphs of a folder, run by onnxruntime.

Tensors of AOT's graphs, for M identities, T stored frames, frames resized to H×W in the network, and each block N from
0 on. Maps have H/4×W/4, H/8×W/8 or h×w = H/16×W/16 (rounded up) positions; those of h×w are L = h·w tokens.

    encode             frame height×width×3 uint8, any size → features_f4 1×C4×H/4×W/4, features_f8 1×C8×H/8×W/8,
                       features_f16 1×C16×h×w, features_projected 1×C×h×w
    assign_identities  masks 1×(1+M)×H×W, one-hot, background first → id_embeddings_0 1×L×C
    reference          features_projected, id_embeddings_0 → embeddings_*, states_N_* (see propagate)
    propagate          features_projected, memory_N_long_* 1×(T·L)×C, memory_N_short_* 1×L×C →
                       embeddings_0 (input of block 0) and embeddings_N+1 (output of block N) 1×C×h×w, states_N_* 1×L×C
    decode             embeddings_*, features_f4, _f8 and _f16 → logits 1×(1+M)×H/4×W/4, background first
    memorize           states_N_*, id_embeddings_0 → memory_N_long_*, memory_N_short_* 1×L×C: keys and values
    relevance          states_0_*, memory_0_long_key, logits → relevance T: each stored frame's share of the attention
                       from foreground tokens (RMem)
    prompt             image height×width×3 uint8, any size, planes 1×3×P×Q, rough_mask height×width →
                       logits and refined_logits height×width

DeAOT has other channels and only the last block's embeddings; multi-scale models have one set per stage. Not every
model has the last two graphs.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from aotlab_runtime.inputs import InputError, require

VERSION = 11
"""version of ``export.json``"""
Tensors = dict[str, np.ndarray]
"""inputs and outputs of graphs, by name"""
PROVIDERS = {
    "cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider", "directml": "DmlExecutionProvider", "openvino": "OpenVINOExecutionProvider",
}  # fmt: skip
"""onnxruntime's names of execution providers"""


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
        require_provider(provider)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # don't busy-wait
        folder = Path(folder)
        description = read_description(folder)
        try:
            self._sessions = {
                path.stem: onnxruntime.InferenceSession(path, options, providers=[PROVIDERS[provider]])
                for path in map(folder.joinpath, description["sha256"])
                if path.suffix == ".onnx"
            }
        except Exception as error:  # onnxruntime's errors have no common class
            raise InputError(
                f"{folder}: onnxruntime {onnxruntime.__version__} cannot load it with provider {provider} "
                f"({error!r:.200}); free memory, update onnxruntime, or choose another provider"
            ) from error
        self.providers: list[str] = self._sessions["encode"].get_providers()
        """onnxruntime's execution providers, in order of preference"""
        require(
            PROVIDERS[provider] in self.providers,
            f"provider {provider}: onnxruntime cannot start it; install its libraries, or choose cpu",
        )
        self.digest: str = description["digest"]
        """identifies this export"""
        self.network_size: tuple[int, int] = tuple(description["network_size"])
        """(height, width) of the frame in the network, in pixels"""
        self.config: dict[str, Any] = description["config"]
        """settings of the model and its memory"""
        self.prompting: dict[str, float] = description["prompting"]
        """sizes of crops and clicks with which the prompt network was trained; empty without that network"""
        model = self.config["model"]
        self.max_objects: int = model["max_objects"]
        self.align_corners: bool = model["align_corners"]
        self.stride: int = model["stages"][0]["stride"]

    def run(self, name: str, tensors: Tensors) -> Tensors:
        """Return the named outputs of a graph, which picks its inputs from ``tensors`` by name."""
        session = self._sessions[name]
        inputs = {node.name: tensors[node.name] for node in session.get_inputs()}
        names = [node.name for node in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))


def require_provider(name: str) -> None:
    """Raise `InputError` unless one of `PROVIDERS` is available."""
    available = [key for key in PROVIDERS if PROVIDERS[key] in onnxruntime.get_available_providers()]
    choices = ", ".join(available)
    require(name in available, f"provider {name}: this onnxruntime does not have it; choose one of {choices}")


def read_description(folder: Path) -> dict[str, Any]:
    """Return the content of ``export.json``; raise `InputError` if a file is missing or changed."""
    try:
        description: dict[str, Any] = json.loads((folder / "export.json").read_text("utf-8"))
        content = {key: description[key] for key in ("config", "network_size", "prompting")}
        content["sha256"] = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in description["sha256"]
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if (description["version"], description["digest"]) != (VERSION, digest):
            raise ValueError("changed, or written by another version")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{folder}: not a usable export ({error!s:.200}); run aotlab export") from error
    return description
