"""What has to be settled before PyTorch is loaded, and what machine this is. Nothing here loads PyTorch."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, MutableMapping
from pathlib import Path

SPIN_COUNT = 4000
"""how often a thread of GNU OpenMP looks whether its next work is there before it sleeps; by itself 300000 times.
Measured by benchmarks/waiting.py: docs/speed.md."""
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""variables by which a user says how threads wait"""
INSTRUCTIONS = {
    "avx512_vnni": "VNNI", "avx512_bf16": "AVX512-BF16", "avx512_fp16": "AVX512-FP16", "amx_bf16": "AMX-BF16",
    "amx_int8": "AMX-INT8",
}  # fmt: skip
"""Linux's flags of instructions for matrix products, and their names"""


def set_waiting(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let threads that wait for others sleep soon, before PyTorch is loaded; what a user has set stays.

    PyTorch's threads meet behind every operation, and by default those that are early spin for milliseconds. On a busy
    machine the one they wait for may need that very core: an operation then takes many times as long.
    """
    if not any(name in environ for name in WAITING):
        environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)


def waiting(environ: Mapping[str, str] = os.environ) -> str:
    """How threads were told to wait, in one word or so."""
    told = [f"{name}={environ[name]}" for name in WAITING if name in environ]
    return " ".join(told) or "waiting as the system does"


def instruction_sets() -> list[str]:
    """The CPU's instructions for matrix products, as far as the system tells."""
    flags = {flag for line in _cpu_lines("flags") for flag in line.split()}
    return [name for flag, name in INSTRUCTIONS.items() if flag in flags]


def processor_name() -> str:
    """The CPU's name, as far as the system tells."""
    return next(iter(_cpu_lines("model name")), platform.processor() or platform.machine())


def _cpu_lines(field: str) -> list[str]:
    """What Linux tells of each CPU in a field; nothing elsewhere."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field]
