"""Writes ``tests/golden/data``, the reference outputs that every clone has, from those beside the project.

``python -m tests.golden.ship`` from the root of the repository. What tests do not compare is left out, and features and
logits are rounded far below the tolerance of their tests, which halves their size.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.shared import SHARED_GOLDEN, SHIPPED_GOLDEN

Arrays = dict[str, np.ndarray]

STEP = 2.0**-14
"""what features and logits are rounded to; tests compare them to 1e-3 at most and 1e-4 on average"""


def sequence(arrays: Arrays) -> Arrays:
    """A sequence of a model, without what its tests do not look at."""
    return {
        name: round_to(array, STEP)
        for name, array in arrays.items()
        if name != "last_margin" and not name.endswith("_stats")
    }


def evaluation(arrays: Arrays) -> Arrays:
    """A data set without its frames, which follow from the recipe."""
    return {name: array for name, array in arrays.items() if not name.endswith("/frames")}


def cases_without_keys(arrays: Arrays) -> Arrays:
    """RMem does not look at keys."""
    return {name: array for name, array in arrays.items() if not name.endswith("/K")}


def keep(arrays: Arrays) -> Arrays:
    """Return all arrays as they are."""
    return arrays


def round_to(array: np.ndarray, step: float) -> np.ndarray:
    """Float32 to the nearest multiple of ``step``; other kinds as they are."""
    if array.dtype != np.float32:
        return array
    return (np.rint(array / np.float32(step)) * np.float32(step)).astype(np.float32)


ARRAYS: dict[str, Callable[[Arrays], Arrays]] = {
    "models/aott": sequence,
    "models/deaott": sequence,
    "models/eval_aott_davis2017": evaluation,
    "models/train_aott": keep,
    "models/loss": keep,
    "models/data": keep,
    "memory/policy_cases": keep,
    "memory/policy_cases_rmem": cases_without_keys,
    "metrics/pairs": keep,
    "metrics/statistics": keep,
    "metrics/sequences": keep,
    "metrics/real_per_frame": keep,
    "metrics/benchmarks": keep,
}
TABLES = (
    "models/schedule", "models/sizes", "memory/policy_cases", "memory/policy_cases_rmem", "metrics/sequences",
    "metrics/real", "metrics/benchmarks", "keys/aott", "keys/deaott", "keys/aott.optim", "keys/deaott.optim",
)  # fmt: skip


def reduce_file(name: str) -> Arrays:
    """The part of a file beside the project that is shipped."""
    with np.load(SHARED_GOLDEN / f"{name}.npz") as file:
        return ARRAYS[name]({key: file[key] for key in file.files})


def main() -> int:
    """Write all files again."""
    for name in ARRAYS:
        path = SHIPPED_GOLDEN / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(path, reduce_file(name))
    for name in TABLES:
        path = SHIPPED_GOLDEN / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = json.loads((SHARED_GOLDEN / f"{name}.json").read_text())
        path.write_text(json.dumps(table, separators=(",", ":")) + "\n")
    return 0


def write_arrays(path: Path, arrays: Arrays) -> None:
    """An npz file without dates, so that the same arrays are the same file; packed as tightly as zip can."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    sys.exit(main())
