"""Operations of one frame, by PyTorch's profiler: calls, milliseconds, bytes allocated and FLOPs.

``python -m benchmarks.operations deaott --threads 1``
"""

from __future__ import annotations

import sys

from torch.profiler import ProfilerActivity, profile

from aotlab.tools.cli.numbers import AT_LEAST_ONE
from aotlab.tools.cli.program import Parser, command
from benchmarks.settings import parse_setting
from benchmarks.speed import SETTINGS, cpu_threads
from benchmarks.timed_tracker import TimedTracker

HEADING = "| operation | calls | ms | share | MB allocated | GFLOP |\n|---|---|---|---|---|---|"


@command
def main(argv: list[str] | None = None) -> int:
    """Print a Markdown table of the slowest operations; returns the exit status."""
    parser = Parser("operations", description="Operations of one tracked frame.", epilog=SETTINGS)
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


def profiled(run: TimedTracker, count: int) -> list[str]:
    """Return rows of the ``count`` slowest operations of one frame, of all others, and of the whole frame.

    FLOPs are those that the profiler knows: products and convolutions of PyTorch, not those called in oneDNN directly.
    """
    run.start()
    run.timed_step(0)
    activities = [ProfilerActivity.CPU]
    with profile(activities=activities, record_shapes=True, profile_memory=True, with_flops=True) as profiler:
        run.timed_step(1)
    events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
    whole = sum(event.self_cpu_time_total for event in events)
    rows = []
    for name, some in [
        *((event.key, [event]) for event in events[:count]), ("others", events[count:]), ("frame", events)
    ]:  # fmt: skip
        seconds = sum(event.self_cpu_time_total for event in some)
        allocated = sum(max(event.self_cpu_memory_usage, 0) for event in some)
        flops, calls = sum(event.flops for event in some), sum(event.count for event in some)
        rows.append(
            f"| {name} | {calls} | {seconds / 1e3:.1f} | {seconds / whole:.1%} | {allocated / 1e6:.1f} "
            f"| {flops / 1e9:.2f} |"
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
