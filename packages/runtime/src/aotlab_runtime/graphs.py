"""`Graphs`: the steps of AOT (Yang, Wei, Yang; NeurIPS 2021), with the shapes of their inputs and outputs.

H×W: a frame of the video, of any size. H'×W': the frame resized for the network, one token per 16×16 pixels. Tokens are
a map h×w = H'/16×W'/16 (rounded up), L = h·w. C: channels of a token. M: number of identities. T: number of frames in
long-term memory. N = 0, 1, …: the blocks. Graphs exchange arrays by name, float32 unless stated:

    frame            H×W×3 uint8 RGB
    features         features_f4, _f8, _f16: maps at strides 4, 8, 16; features_projected: 1×C×h×w
    labels           H×W int32, object ids
    ids              M int32, the object id of each identity from 1 on, -1 without an object
    id_embeddings    id_embeddings_0: E, 1×L×C
    memory           memory_N_long_key, _value: 1×(T·L)×C; memory_N_short_key, _value: 1×L×C; memory_ages: T int32,
                     frames since each frame in long-term memory, only read by models that learn it
    propagated       embeddings: the frame's map and the outputs of all blocks, 1×(1+blocks)C×h×w; and states
    states           states_N_key, states_N_tokens: 1×L×C, from which `memorize` computes memory

In DeAOT, keys have C/2 channels, values in memory 4C, and ``embeddings`` is the last block's output with 2C.
``states_N_value`` and, after the first block, ``states_N_id_tokens`` replace ``states_N_tokens``. Models of several
scales have an ``id_embeddings_N`` per scale, and tokens of other sizes in later blocks.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from aotlab_runtime.errors import InputError, require, shorten, translate_error
from aotlab_runtime.files import read_description
from aotlab_runtime.inputs import is_integer_between
from aotlab_runtime.memory import MemorySettings, Tensors

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PROVIDERS = {
    "cpu": [CPU],
    "cuda": [CUDA, CPU],
    "tensorrt": ["TensorrtExecutionProvider", CUDA, CPU],
    "coreml": ["CoreMLExecutionProvider", CPU],
    "directml": ["DmlExecutionProvider", CPU],
    "openvino": ["OpenVINOExecutionProvider", CPU],
}
"""Onnxruntime's execution providers by name; an operator runs on the first that supports it."""
Provider = str | tuple[str, Mapping[str, Any]]
"""One of `PROVIDERS`, or a pair with onnxruntime's options for it, ``("cuda", {"device_id": 1})``."""


class Graphs:
    """An exported model: one onnxruntime session per graph. It has no state; memory is an argument."""

    def __init__(self, folder: str | Path, *, provider: Provider = "cpu", threads: int | None = None) -> None:
        """Load the folder that ``aotlab export`` wrote.

        ``provider``: see `Provider`. ``threads``: number of CPU threads; None: one per core. Raises `InputError` if a
        file is missing or changed, or onnxruntime cannot load the graphs with the provider.
        """
        description = read_description(folder)
        self._sessions = open_sessions(Path(folder), description["sha256"], provider, threads)
        self.providers: list[str] = self._sessions["encode"].get_providers()  # preferred ones first
        self.digest: str = description["digest"]  # identifies this export
        self.network_size: tuple[int, int] = tuple(description["network_size"])  # H', W'
        self.max_objects: int = description["max_objects"]  # M
        self.token_size: int = description["stride"]  # side of a token in pixels
        self.temperature: float = description["confidence_temperature"]  # divides logits in `confidence`
        self.memory_settings: MemorySettings = description["memory"]
        self.prompt_settings: dict[str, float] = description["prompting"] or {}  # empty without a prompt network

    def run(self, name: str, tensors: Tensors) -> Tensors:
        """Run a graph and return its outputs; its inputs are taken from ``tensors`` by name."""
        require(name in self._sessions, f"graph {name}: not in this export")
        session = self._sessions[name]
        try:
            outputs = session.run(None, {node.name: np.asarray(tensors[node.name]) for node in session.get_inputs()})
        except Exception as error:  # onnxruntime's errors have no common class
            raise translate_error(error, f"graph {name}") from error
        return {node.name: output for node, output in zip(session.get_outputs(), outputs, strict=True)}

    def encode(self, frame: np.ndarray) -> Tensors:
        """Return the features of a frame. They do not depend on its objects."""
        return self.run("encode", {"frame": frame})

    def assign_identities(self, labels: np.ndarray, ids: np.ndarray) -> Tensors:
        """Embed the objects of a frame: E is a convolution of their masks at H'×W' with stride 16 (section 4.1).

        Each identity has a learned 17×17 kernel of vectors (16×16 if corners are not aligned), so a token sums vectors
        of pixels around it. In DeAOT, MS-DeAOT, AOST and PAOT, a layer normalization of E follows. ``areas`` are
        the pixels of each identity at H'×W', M.
        """
        return self.run("assign_identities", {"labels": labels, "ids": ids})

    def propagate_reference(self, features: Tensors, id_embeddings: Tensors) -> Tensors:
        """Propagate in a reference frame, one with a mask: its blocks read the frame itself in place of memory."""
        return self.run("reference", features | id_embeddings)

    def propagate(self, features: Tensors, memory: Tensors) -> Tensors:
        """Carry identities from memory to a frame, block by block (section 4.2).

        RMem adds learned vectors before long-term attention: one to queries, and one to the keys of each stored frame,
        chosen by the place of the frame in memory. In AOT, RMem also computes short-term memory from the output of
        short-term attention, which then has no window.
        """
        return self.run("propagate", features | memory)

    def memorize(self, states: Tensors, id_embeddings: Tensors) -> tuple[Tensors, Tensors]:
        """Return the long-term and the short-term memory of one frame, 1×L×C each; only the values contain E."""
        memory = self.run("memorize", states | id_embeddings)
        long = {name: x for name, x in memory.items() if "_long_" in name}
        return long, {name: x for name, x in memory.items() if name not in long}

    def decode(self, propagated: Tensors, features: Tensors, frame: np.ndarray, identities: np.ndarray) -> Tensors:
        """Return logits by a feature pyramid (section 4.1)::

            x = relu(groupnorm(conv(embeddings)))
            for f in (features_f16, features_f8, features_f4):
                x = relu(groupnorm(conv(resize(x, size of f) + conv(f))))
            logits = conv(x)

        In models of several scales, embeddings have the stride of the finest scale, and the loop is left out.
        ``identity_logits`` are those of all identities, 1×(1+M)×H'/4×W'/4, background first. ``logits`` are those of
        the background and n ``identities`` (int32, from 1 on), resized to the frame: (1+n)×H×W.
        """
        return self.run("decode", {"frame": frame, "identities": identities, **features, **propagated})

    def compute_relevance(self, propagated: Tensors, identity_logits: np.ndarray, memory: Tensors) -> np.ndarray:
        """Return the relevance r of the T stored frames: their shares of the attention of tokens with objects (RMem).

        A[p, t]: long-term attention of token p in block 0 to all tokens of frame t, the mean of the heads::

            f[p] = 1 - softmax(resize(identity_logits, h×w))[0, p]     probability of an object on token p
            r[t] = sum_p(f[p] · A[p, t]) / sum_p(f[p])                 0 without objects

        Only in exports with the policy ``rmem``.
        """
        return self.run("relevance", {"identity_logits": identity_logits, **propagated, **memory})["relevance"]

    def segment_prompt(
        self, image: np.ndarray, points: np.ndarray, labels: np.ndarray, rough_mask: np.ndarray, size: tuple[int, int]
    ) -> Tensors:
        """Segment an object of an image height×width×3 uint8 RGB. Only in exports with a prompt network.

        ``points``: N×2, (x, y) in pixels of the image; ``labels``: N int32, 1 on the object, 0 off it, 2 and 3 the left
        top and right bottom corner of its box. ``rough_mask``: height×width in 0 to 1. ``size``: (height, width) of the
        image in the network. Returns ``logits`` and, with outlines snapped to edges in the image, ``refined_logits``,
        height×width.
        """
        canvas = np.zeros(size, np.uint8)  # only its shape is read
        prompt = {"points": points, "labels": labels, "rough_mask": rough_mask, "canvas": canvas}
        return self.run("prompt", {"image": image, **prompt})


def open_sessions(
    folder: Path, names: Iterable[str], provider: Provider, threads: int | None
) -> dict[str, ort.InferenceSession]:
    """Return a session for each ONNX file of a folder, by its name; all sessions of this process share an arena."""
    name, provider_options = provider if isinstance(provider, tuple) and len(provider) == 2 else (provider, {})
    first, *fallbacks = require_provider(name)
    if not isinstance(provider_options, Mapping):
        raise InputError(f"provider {name}: its options must be a dict, got {shorten(provider_options)}")
    if threads is not None and not is_integer_between(threads, 1, 1024):
        raise InputError(f"threads {shorten(threads)}: must be a whole number from 1 to 1024")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4  # errors are raised, so they need not be printed too
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # don't busy-wait
    options.add_session_config_entry("session.use_env_allocators", "1")  # the arena halves the memory of a tracker
    with suppress(RuntimeError):  # already registered
        arena = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        ort.create_and_register_allocator(arena, None)
    try:
        providers = [(first, dict(provider_options)), *fallbacks]
        paths = [folder / file_name for file_name in names if file_name.endswith(".onnx")]
        sessions = {path.stem: ort.InferenceSession(path, options, providers=providers) for path in paths}
    except Exception as error:  # onnxruntime's errors have no common class
        raise translate_error(error, f"{folder}: onnxruntime {ort.__version__} cannot load it ({name})") from error
    if first not in sessions["encode"].get_providers():  # onnxruntime falls back silently
        raise InputError(f"provider {name}: onnxruntime cannot start it; check its libraries and options")
    return sessions


def require_provider(name: object) -> list[str]:
    """Return onnxruntime's providers for one of `PROVIDERS`; raise `InputError` if it is not installed."""
    if not isinstance(name, str) or name not in PROVIDERS:
        raise InputError(f"provider {shorten(name)}: unknown; choose one of {', '.join(PROVIDERS)}")
    if PROVIDERS[name][0] not in ort.get_available_providers():
        raise InputError(f"provider {name}: not in this onnxruntime; install a variant that has it")
    return PROVIDERS[name]
