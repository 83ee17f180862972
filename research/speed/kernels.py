"""Time of a frame's operations on the device beside its wall time: ``python -m research.speed.kernels aott,objects=3``.

The difference is the launches of operations, and the work of the host.
"""

from __future__ import annotations

import sys
import time

import click
from torch.profiler import ProfilerActivity, profile

from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Device, PositiveInt, option
from aotlab.utils.devices import synchronize
from aotlab.utils.environment import prepare_torch
from research.speed.compare import parse_setting
from research.speed.worker import prepare_tracking


@command("python -m research.speed.kernels")
@click.argument("setting", metavar="SETTING", help="model with settings, as for research.speed.compare")
@option("--rounds", type=PositiveInt, default=20, help="number of timed frames")
@option("--device", type=Device, default="cpu", help="cpu, cuda or cuda:N")
def main(setting: str, *, rounds: int, device: str) -> int:
    """Measure the milliseconds per frame, on the device and in all, and list the slowest operations."""
    prepare_torch()
    track_frame = prepare_tracking(parse_setting(setting) | {"device": device})

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
    print(f"`{setting}`: {wall:.3f} ms a frame, {busy:.3f} ms in operations, {calls:.0f} calls of operations\n")
    print(operations.table(sort_by=column, row_limit=15, max_name_column_width=60))
    return 0


if __name__ == "__main__":
    sys.exit(main())
