"""The machine of a measurement, and its rate of matrix products."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass

import torch

from aotlab.networks import kernels
from aotlab.networks.primitives import Linear
from aotlab.utils.devices import synchronize
from aotlab.utils.environment import WAITING, cpu_lines, processor_name
from aotlab.utils.processes import peak_resident_bytes

SIDES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192)}
"""sides of the square matrices that are multiplied"""
TIME_LIMIT = 1.0
"""seconds after which no more products are tried"""
REPEATS = 4
INSTRUCTIONS = {
    "avx512_vnni": "VNNI", "avx512_bf16": "AVX512-BF16", "avx512_fp16": "AVX512-FP16", "amx_bf16": "AMX-BF16",
    "amx_int8": "AMX-INT8",
}  # fmt: skip
"""CPU flags of instructions for matrix products, and their names"""


@dataclass(frozen=True)
class Machine:
    """Hardware and software of a measurement."""

    device: str
    """cpu, cuda, ..."""
    processor: str
    """name of the CPU or GPU"""
    instructions: str
    """instruction sets of PyTorch's CPU kernels, and those of the CPU for matrix products"""
    threads: int
    """CPU threads of PyTorch's operations"""
    waiting: str
    """setting of how these threads wait for one another"""
    torch: str
    python: str

    @property
    def title(self) -> str:
        """One line."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        cpu = f", {self.instructions}, {threads}, {self.waiting}" if self.device == "cpu" else ""
        return f"{self.device}: {self.processor}{cpu}, PyTorch {self.torch}, Python {self.python}"


def describe_machine(device: torch.device) -> Machine:
    """Describe the machine of this process."""
    return Machine(
        device=device.type,
        processor=torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name(),
        instructions=" ".join([torch.backends.cpu.get_cpu_capability(), *instruction_sets()]),
        threads=torch.get_num_threads(),
        waiting=" ".join(f"{name}={os.environ[name]}" for name in WAITING if name in os.environ)
        or "waiting as the system does",
        torch=torch.__version__,
        python=platform.python_version(),
    )


def matmul_rate(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Return the highest FLOP per second of several large matrix products; a multiply-add counts as 2.

    PyTorch's own product and the linear layer of the models are tried.
    """
    kernels.install()
    best, begin = 0.0, time.perf_counter()
    for side in SIDES.get(device.type, SIDES["cpu"]):
        left = torch.rand(side, side, device=device).to(dtype)
        layer = Linear(side, side, bias=False, device=device, dtype=dtype).requires_grad_(False)
        for _ in range(REPEATS):
            for multiply in (left.matmul, layer):
                synchronize(device)
                start = time.perf_counter()
                multiply(left)
                synchronize(device)
                best = max(best, 2 * side**3 / (time.perf_counter() - start))
            if time.perf_counter() - begin > TIME_LIMIT:
                return best
    return best


def forget_peak(device: torch.device) -> None:
    """Reset the peak of memory of a GPU; the process's own peak stays."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int:
    """Return the peak of memory in bytes: PyTorch's on a GPU, else the process's (0 if the system does not say)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_resident_bytes() or 0


def instruction_sets() -> list[str]:
    """Return the CPU's instructions for matrix products, if known."""
    flags = {flag for line in cpu_lines("flags") for flag in line.split()}
    return [name for flag, name in INSTRUCTIONS.items() if flag in flags]
