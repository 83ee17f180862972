"""JSON files with a kind, a version and a digest, which are checked when a file is read."""

from __future__ import annotations

import hashlib
import json
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aotlab.utils.files import write_json

WRAPPER_KEYS = ("kind", "version", "digest")


class FileKind(NamedTuple):
    """Kind of a file written and read by this project."""

    name: str
    """Name in messages, such as "job record"."""
    version: int
    remedy: str
    """Remedy in messages, such as "track the video again"."""


def wrap(kind: FileKind, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with its kind, version and digest."""
    return {"kind": kind.name, "version": kind.version, "digest": digest(content), **content}


def unwrap(kind: FileKind, wrapped: Any) -> dict[str, Any]:
    """Check wrapped content and return it; raises `ValueError` for another kind or version, or changed content."""
    if not isinstance(wrapped, dict) or (wrapped.get("kind"), wrapped.get("version")) != (kind.name, kind.version):
        raise ValueError("written by another program or another version of this one")
    content = {name: value for name, value in wrapped.items() if name not in WRAPPER_KEYS}
    if wrapped.get("digest") != digest(content):
        raise ValueError("changed or damaged since it was written")
    return content


def digest(content: Any) -> str:
    """Return the SHA-256 of JSON values; tensors and arrays count by type, shape and CRC-32, sets by their items."""
    text = json.dumps(content, sort_keys=True, default=_describe)
    return hashlib.sha256(text.encode()).hexdigest()


def load_pickle(path: Path) -> Any:
    """Return the content of a file of `torch.save`; raises `ValueError` if it is damaged or not only data."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other protocols
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged files cause errors of any kind
        # PyTorch's message describes how to load the file unsafely
        problem = f"truncated, not a PyTorch checkpoint, or contains pickled code: {type(error).__name__}"
        raise ValueError(problem) from None


def _describe(value: Any) -> Any:
    """Return a set, tensor or array as JSON values."""
    import torch

    if isinstance(value, set | frozenset):
        return sorted(value)
    tensor = torch.as_tensor(value).detach()
    # NumPy has no bfloat16, but all types have bytes
    content = tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data
    return f"{tensor.dtype} {tuple(tensor.shape)} {zlib.crc32(content)}"


def write_versioned(path: Path, kind: FileKind, content: Mapping[str, Any]) -> None:
    """Write a wrapped JSON file atomically; raises `InputError` if it cannot be written."""
    content = json.loads(json.dumps(content))  # keys become strings, as when read
    write_json(path, wrap(kind, content), indent=1)
