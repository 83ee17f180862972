"""Time and arithmetic of a frame's operations: ``python -m research.speed.kernels r50_deaotl,objects=3 --threads 1``.

The first line compares the time of operations on the device with the wall time; the difference is the launches of
operations, and the work of the host. On a CPU, the second compares the arithmetic of a frame with that of a product of
matrices, as CPU seconds of all threads.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Device, PositiveInt, option
from aotlab.utils.devices import synchronize
from aotlab.utils.environment import prepare_torch
from aotlab.utils.errors import require
from research.speed.compare import parse_setting
from research.speed.worker import prepare_tracking

SIDE = 1024
"""Rows and columns of the matrices whose product is the measure."""


def count_gigaflops(setting: dict[str, Any]) -> float:
    """Return 10⁹ floating-point operations of matrix products and convolutions in the first timed frame."""
    track_frame = prepare_tracking(setting, optimize=False)  # fused convolutions are not counted
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: count_attention}
    with FlopCounterMode(display=False, custom_mapping=attention) as counter:
        track_frame()
    return counter.get_total_flops() / 1e9


def count_attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **options: Any) -> int:
    """Return the operations of attention on CPUs, which `FlopCounterMode` does not know."""
    return sdpa_flop_count(query, key, value)


def measure_cpu_seconds(call: Callable[[], object], rounds: int) -> float:
    """Return the least CPU seconds of a call, of all threads."""
    seconds = []
    for _ in range(rounds):
        begin = time.process_time()
        call()
        seconds.append(time.process_time() - begin)
    return min(seconds)


@command("python -m research.speed.kernels")
@click.argument("setting", metavar="SETTING", help="model with settings, as for research.speed.compare")
@option("--rounds", type=PositiveInt, default=20, help="number of timed frames")
@option("--threads", type=PositiveInt, help="CPU threads (default: PyTorch's own)")
@option("--device", type=Device, default="cpu", help="cpu, cuda or cuda:N")
def main(setting: str, *, rounds: int, threads: int | None, device: str) -> int:
    """Measure the milliseconds per frame, on the device and in all, and list the slowest operations."""
    prepare_torch()
    torch.set_num_threads(threads or torch.get_num_threads())
    parsed = parse_setting(setting) | {"device": device}
    require(
        not parsed["train"] and parsed["checkout"] == ".", f"{setting}: train= and @ are for research.speed.compare"
    )
    track_frame = prepare_tracking(parsed)

    def run() -> float:
        begin = time.perf_counter()
        for _ in range(rounds):
            track_frame()
        synchronize(device)
        return (time.perf_counter() - begin) / rounds * 1000

    run()
    wall = run()
    on_gpu = device.startswith("cuda")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        run()
    column = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    operations = profiler.key_averages()
    busy = sum(getattr(operation, column) for operation in operations) / rounds / 1000
    calls = sum(operation.count for operation in operations if operation.key.startswith("aten::")) / rounds
    print(f"`{setting}`: {wall:.3f} ms a frame, {busy:.3f} ms in operations, {calls:.0f} calls of operations")
    if not on_gpu:
        gigaflops, matrix = count_gigaflops(parsed), torch.rand(SIDE, SIDE)
        rate = gigaflops / measure_cpu_seconds(track_frame, rounds)
        product = 2 * SIDE**3 / 1e9 / measure_cpu_seconds(lambda: matrix @ matrix, 30)
        print(f"{gigaflops:.1f} GFLOP a frame at {rate:.0f} GFLOP/s; a product of {SIDE}×{SIDE}: {product:.0f} GFLOP/s")
    print()
    print(operations.table(sort_by=column, row_limit=15, max_name_column_width=60))
    return 0


if __name__ == "__main__":
    sys.exit(main())
