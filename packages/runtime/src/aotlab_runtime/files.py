"""Descriptions of exports, and saved states of trackers; digests show whether they were changed."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from aotlab_runtime.errors import InputError, describe_error, shorten

EXPORT_VERSION = 16  # of ``export.json``
STATE_VERSION = 18


def read_description(folder: str | Path) -> dict[str, Any]:
    """Return the content of an export's ``export.json``; raise `InputError` if a file is missing or changed."""
    try:
        path = Path(folder)
        description: dict[str, Any] = json.loads((path / "export.json").read_text("utf-8"))
        version = description["version"] if isinstance(description, dict) else None
        if version != EXPORT_VERSION:
            raise ValueError(f"version {shorten(version)}, this runtime reads {EXPORT_VERSION}")
        content = {key: value for key, value in description.items() if key not in ("kind", "version", "digest")}
        content["sha256"] = {name: sha256((path / name).read_bytes()).hexdigest() for name in description["sha256"]}
        if description["digest"] != sha256(json.dumps(content, sort_keys=True).encode()).hexdigest():
            raise ValueError("changed or damaged since it was written")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{folder}: not a usable export ({describe_error(error)}); run aotlab export") from error
    return description


def pack_state(content: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return a state as arrays by name; the text ``header`` is the content as JSON, {"array": NAME} for each array."""
    arrays: dict[str, np.ndarray] = {}

    def name_array(array: np.ndarray) -> dict[str, str]:
        arrays[name := f"array_{len(arrays)}"] = array
        return {"array": name}

    arrays["header"] = np.array(json.dumps({"version": STATE_VERSION, **content}, default=name_array))
    return {**arrays, "digest": np.array(digest_arrays(arrays))}


def unpack_state(state: Mapping[str, np.ndarray], export: str) -> dict[str, Any]:
    """Return the content of a state; raise `InputError` if it is damaged or of an export with another digest."""
    try:
        if not isinstance(state, Mapping) or "header" not in state:
            raise ValueError("saved by another program")
        content: dict[str, Any] = json.loads(str(state["header"]))
        if not isinstance(content, dict) or (content.get("version"), content.get("export")) != (STATE_VERSION, export):
            raise ValueError("saved with another export or version")
        arrays = {name: np.array(state[name]) for name in state}
        if str(arrays.pop("digest")) != digest_arrays(arrays):
            raise ValueError("changed or damaged since it was saved")
    except Exception as error:  # damaged files cause errors of any kind
        raise InputError(f"tracker state: invalid ({describe_error(error)}); save it with this export") from error
    return json.loads(str(arrays["header"]), object_hook=lambda item: arrays.get(item.get("array", ""), item))


def digest_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of named arrays."""
    described = [(name, str(x.dtype), x.shape, sha256(x.tobytes()).digest()) for name, x in sorted(arrays.items())]
    return sha256(repr(described).encode()).hexdigest()
