"""Environment variables to set before importing torch, and facts about the CPU. Imports no PyTorch."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, MutableMapping
from pathlib import Path

SPIN_COUNT = 4000
"""number of spins of a GNU OpenMP thread before it sleeps (default of OpenMP: 300000). Measured in docs/speed.md."""
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""environment variables that set how threads wait"""
FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"
"""environment variable that lets the CPU compute what MPS cannot"""
INSTRUCTIONS = {
    "avx512_vnni": "VNNI", "avx512_bf16": "AVX512-BF16", "avx512_fp16": "AVX512-FP16", "amx_bf16": "AMX-BF16",
    "amx_int8": "AMX-INT8",
}  # fmt: skip
"""CPU flags of instructions for matrix products, and their names"""


def set_waiting(environ: MutableMapping[str, str] = os.environ) -> None:
    """Shorten the spin-waiting of OpenMP threads, unless set by the user; call before importing torch.

    PyTorch's threads meet after every operation, and waiting threads spin for milliseconds
    by default. On a busy machine they take the core that the last thread needs, which makes operations much slower.
    """
    if not any(name in environ for name in WAITING):
        environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)


def enable_fallback(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let the CPU compute what MPS cannot, unless set by the user; call before importing torch."""
    environ.setdefault(FALLBACK, "1")


def waiting(environ: Mapping[str, str] = os.environ) -> str:
    """Describe how threads wait."""
    told = [f"{name}={environ[name]}" for name in WAITING if name in environ]
    return " ".join(told) or "waiting as the system does"


def instruction_sets() -> list[str]:
    """Return the CPU's instructions for matrix products, if known."""
    flags = {flag for line in _cpu_lines("flags") for flag in line.split()}
    return [name for flag, name in INSTRUCTIONS.items() if flag in flags]


def processor_name() -> str:
    """Return the name of the CPU, if known."""
    return next(iter(_cpu_lines("model name")), platform.processor() or platform.machine())


def _cpu_lines(field: str) -> list[str]:
    """Return the values of a field in /proc/cpuinfo; empty on other systems than Linux."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field]
