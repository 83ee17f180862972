"""Saved states: arrays by name, and a JSON header with the digest of all."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from aotlab_runtime.graphs import Tensors
from aotlab_runtime.inputs import InputError, describe_error

STATE_VERSION = 14


def pack_state(header: Mapping[str, Any], arrays: Tensors) -> Tensors:
    """Return a state; ``header`` is written as JSON."""
    header = {"version": STATE_VERSION, **header}
    digest = digest_state(header, arrays)
    return {"header": np.array(json.dumps({**header, "digest": digest})), **arrays}


def unpack_state(state: Mapping[str, np.ndarray], export: str) -> tuple[dict[str, Any], Tensors]:
    """Return header and arrays; raise `InputError` if they are damaged or of an export with another digest."""
    try:
        if not isinstance(state, Mapping) or "header" not in state:
            raise ValueError("saved by another program")
        header = json.loads(str(state["header"]))
        if (header["version"], header["export"]) != (STATE_VERSION, export):
            raise ValueError("saved with another export or version")
        arrays = {name: np.array(state[name]) for name in state if name != "header"}
        if header.pop("digest") != digest_state(header, arrays):
            raise ValueError("changed or damaged since it was saved")
    except Exception as error:  # damaged files cause errors of any kind
        raise InputError(
            f"tracker state: invalid ({describe_error(error)}); load the export that saved it, or save it again"
        ) from error
    return header, arrays


def digest_state(header: Mapping[str, Any], arrays: Tensors) -> str:
    """Return the SHA-256 of the header and the arrays of a state."""
    total = hashlib.sha256(json.dumps(header).encode())
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()
