"""Loading of exports: checks of their files, sessions of onnxruntime."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

import onnxruntime
from onnxruntime import OrtAllocatorType, OrtMemoryInfo, OrtMemType

from aotlab_runtime.inputs import InputError, describe_error, is_integer_between, shorten

EXPORT_VERSION = 13  # of ``export.json``
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
"""One of `PROVIDERS`, or a pair with onnxruntime's options for it."""


class MemorySettings(TypedDict):
    """Settings of a `MemoryBank`."""

    policy: str  # bounded_fifo or restricted
    frames: int  # maximum number of frames in long-term memory
    every: int  # interval in frames between tracked frames that may be stored
    max_tracked: int  # maximum number of tracked frames in long-term memory
    max_stored: int | None  # number of tracked frames to store of a long video, if its length is known
    score_early: bool  # score frames before memory is full
    short_term_skip: int  # steps back to the frame in short-term memory


def open_sessions(
    paths: Sequence[Path], provider: Provider, threads: int | None
) -> dict[str, onnxruntime.InferenceSession]:
    """Return a session for each ONNX file, by its name; see `Graphs` for arguments and errors."""
    name, provider_options = provider if isinstance(provider, tuple) and len(provider) == 2 else (provider, {})
    (first, *fallbacks), options = require_provider(name), make_session_options(threads)
    try:
        providers = [(first, dict(provider_options)), *fallbacks]
        sessions = {path.stem: onnxruntime.InferenceSession(path, options, providers=providers) for path in paths}
    except Exception as error:  # onnxruntime's errors have no common class
        message = f"{paths[0].parent}: onnxruntime {onnxruntime.__version__} cannot load it ({name})"
        raise InputError(f"{message}: {shorten(repr(error), 200)}") from error
    if first not in sessions["encode"].get_providers():  # onnxruntime falls back silently
        raise InputError(f"provider {name}: onnxruntime cannot start it; check its libraries and options")
    return sessions


def make_session_options(threads: int | None) -> onnxruntime.SessionOptions:
    """Return options of sessions; all sessions of this process share an arena, which halves the memory of a tracker."""
    if threads is not None and not is_integer_between(threads, 1, 1024):
        raise InputError(f"threads {shorten(threads)}: must be a whole number from 1 to 1024")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4  # errors are raised, so they need not be printed too
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # don't busy-wait
    options.add_session_config_entry("session.use_env_allocators", "1")  # the registered arena
    arena = OrtMemoryInfo("Cpu", OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, OrtMemType.DEFAULT)
    with suppress(RuntimeError):  # already registered
        onnxruntime.create_and_register_allocator(arena, None)
    return options


def require_provider(name: object) -> list[str]:
    """Return onnxruntime's providers for one of `PROVIDERS`; raise `InputError` if it is not installed."""
    if not isinstance(name, str) or name not in PROVIDERS:
        raise InputError(f"provider {shorten(name)}: unknown; choose one of {', '.join(PROVIDERS)}")
    if PROVIDERS[name][0] not in onnxruntime.get_available_providers():
        raise InputError(f"provider {name}: not in this onnxruntime; install a variant that has it")
    return PROVIDERS[name]


def read_description(folder: str | Path) -> dict[str, Any]:
    """Return the content of an export's ``export.json``; raise `InputError` if a file is missing or changed."""
    try:
        path = Path(folder)
        description: dict[str, Any] = json.loads((path / "export.json").read_text("utf-8"))
        version = description["version"] if isinstance(description, dict) else None
        if version != EXPORT_VERSION:
            raise ValueError(f"version {shorten(version)}, this runtime reads {EXPORT_VERSION}")
        content = {key: value for key, value in description.items() if key not in ("kind", "version", "digest")}
        content["sha256"] = {
            name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in description["sha256"]
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if description["digest"] != digest:
            raise ValueError("changed or damaged since it was written")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        message = f"{folder}: not a usable export ({describe_error(error)}); run aotlab export"
        raise InputError(message) from error
    return description
