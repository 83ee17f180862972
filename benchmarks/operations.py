"""Operations of one frame, by PyTorch's profiler: calls, milliseconds, bytes allocated and FLOPs.

``python -m benchmarks.operations deaott --threads 1``
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import conv_flop_count

from aotlab.tools.cli.parser import AT_LEAST_ONE, CommandParser, command
from benchmarks.settings import parse_setting
from benchmarks.speed import SETTINGS, cpu_threads
from benchmarks.timed_tracker import TimedTracker

HEADING = "| operation | calls | ms | share | MB allocated | GFLOP |\n|---|---|---|---|---|---|"


def profiled(run: TimedTracker, count: int) -> list[str]:
    """Return rows of the ``count`` slowest operations of one frame, of all others, and of the whole frame.

    Operations are those that Python calls, with all that they call. FLOPs are counted for PyTorch's products and
    convolutions, not for calls of oneDNN's own operators.
    """
    run.start()
    run.timed_step(0)
    activities = [ProfilerActivity.CPU]
    with profile(activities=activities, record_shapes=True, profile_memory=True, with_flops=True) as profiler:
        run.timed_step(1)
    by_name: dict[str, np.ndarray] = {}
    for event in profiler.events() or []:
        if event.cpu_parent is None and "::" in event.name:
            megabytes = max(event.cpu_memory_usage, 0) / 1e6
            figures = np.array([1, event.cpu_time_total / 1e3, megabytes, _flops(event) / 1e9])
            by_name[event.name] = by_name.get(event.name, 0) + figures
    ordered = sorted(by_name.items(), key=lambda item: -item[1][1])
    others, frame = (sum((sums for _, sums in part), np.zeros(4)) for part in (ordered[count:], ordered))
    rows = [*ordered[:count], ("others", others), ("frame", frame)]
    return [
        f"| {name} | {calls:.0f} | {ms:.1f} | {ms / frame[1]:.1%} | {megabytes:.1f} | {gflop:.2f} |"
        for name, (calls, ms, megabytes, gflop) in rows
    ]


def _flops(event: Any) -> int:
    """FLOPs of a profiled operation; the profiler does not count transposed convolutions."""
    if event.name == "aten::conv_transpose2d":
        image, kernel, *_ = event.input_shapes
        return conv_flop_count(image, kernel, [], transposed=True)  # type: ignore[call-arg, misc]
    return event.flops or 0


@command
def main(argv: list[str] | None = None) -> int:
    """Print a Markdown table of the slowest operations; returns the exit status."""
    parser = CommandParser("operations", description="Operations of one tracked frame.", epilog=SETTINGS)
    parser.prog = "python -m benchmarks.operations"
    parser.add_argument("settings", nargs="?", default="deaott", help="model and run (default: deaott)")
    parser.add_argument("--rows", type=AT_LEAST_ONE, default=16, help="operations to list (default: 16)")
    parser.add_argument(
        "--threads", type=AT_LEAST_ONE, metavar="N", help="PyTorch's CPU threads (default: its own)"
    )
    args = parser.parse_args(argv)
    with cpu_threads(args.threads):
        print("\n".join([HEADING, *profiled(TimedTracker(parse_setting(args.settings)), args.rows)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
