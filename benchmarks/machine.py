"""What a speed was measured on, and how fast that multiplies matrices."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from aotlab.networks.kernels.products import Linear
from aotlab.utils.devices import settle
from aotlab.utils.environment import instruction_sets, processor_name, waiting
from aotlab.utils.errors import InputError
from aotlab.utils.process import peak_resident_bytes

SIDES = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192)}
"""sides of the square matrices that are multiplied"""
PATIENCE = 1.0
"""seconds after which no larger matrices are tried"""
REPEATS = 4


@dataclass(frozen=True)
class Machine:
    """The machine and the software that ran."""

    device: str
    """cpu, cuda, ..."""
    processor: str
    """name of the CPU or GPU"""
    instructions: str
    """sets that PyTorch's own kernels use on the CPU, and what oneDNN finds besides"""
    threads: int
    """of PyTorch's operations on the CPU"""
    waiting: str
    """how these threads wait for one another"""
    torch: str
    python: str

    @property
    def title(self) -> str:
        """One line."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        cpu = f", {self.instructions}, {threads}, {self.waiting}" if self.device == "cpu" else ""
        return f"{self.device}: {self.processor}{cpu}, PyTorch {self.torch}, Python {self.python}"


def describe_machine(device: torch.device) -> Machine:
    """The machine this runs on."""
    return Machine(
        device=device.type,
        processor=torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name(),
        instructions=" ".join([torch.backends.cpu.get_cpu_capability(), *instruction_sets()]),
        threads=torch.get_num_threads(),
        waiting=waiting(),
        torch=torch.__version__,
        python=platform.python_version(),
    )


def matmul_rate(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """FLOP per second of the fastest of several products of large matrices; a multiply-add counts as 2.

    PyTorch's own product and the linear layer of models are tried.
    """
    best, begin = 0.0, time.perf_counter()
    for side in SIDES.get(device.type, SIDES["cpu"]):
        left = torch.rand(side, side, device=device).to(dtype)
        layer = Linear(side, side, bias=False, device=device, dtype=dtype).requires_grad_(False)
        for _ in range(REPEATS):
            for multiply in (left.matmul, layer):
                settle(device)
                start = time.perf_counter()
                multiply(left)
                settle(device)
                best = max(best, 2 * side**3 / (time.perf_counter() - start))
            if time.perf_counter() - begin > PATIENCE:
                return best
    return best


def forget_peak(device: torch.device) -> None:
    """Begin to look for the peak of memory anew, where the device can; a process's own peak stays."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int:
    """Most memory so far: PyTorch's on a GPU, else what the process had resident (0 where the system does not tell)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_resident_bytes() or 0


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Let PyTorch use so many threads for a while; None: as many as it does.

    Raises:
        InputError: fewer than one.
    """
    before = torch.get_num_threads()
    if count is not None and count < 1:
        raise InputError(f"threads {count}: must be at least 1")
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
