"""The performance table as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.rows import STEPS, Row

INTRODUCTION = """# Performance

Written by `python -m benchmarks.speed --report docs/performance.md`. Seconds are medians of `Tracker.step` per frame,
random weights, drawn frames of 854×480 where the settings say nothing else. A and B ran in one process, frame by frame
in turn (A B B A ...), and their ratio is the median over pairs of frames, with its 10th to 90th percentile: what else
the machine did slowed both. The slow twin runs parts of the frame path as the published code does where its CUDA
extension is missing, and says the same (`engine/speed/naive.py`); ours is B. One row alone:
`python -m benchmarks.speed --compare A B`. What else was measured, and what was tried: [speed.md](speed.md).
"""
HEAD = """
| what | A | B | A, s | B, s | A / B | target | met | date |
|---|---|---|---|---|---|---|---|---|
"""


def as_markdown(kept: Mapping[str, Mapping[str, Mapping[str, Any]]], table: Sequence[Row]) -> str:
    """The text of the report: one table for each machine that measured some of its rows.

    Args:
        kept: results by machine and row.
        table: the rows there are, in their order.
    """
    text = INTRODUCTION
    for machine, results in kept.items():
        if not results:
            continue
        rates = [result["matmul_gflops"] for result in results.values()]
        text += (
            f"\n## On {machine}\n\nLarge float32 matrix products ran at {_range(rates)} GFLOP/s meanwhile.\n"
        )
        text += "".join(_step_line(name, results[name]) for name in STEPS if name in results)
        lines = [_line(row, results[row.what]) for row in table if row.what in results]
        text += HEAD + "".join(lines) if lines else ""
    return text


def _step_line(name: str, result: Mapping[str, Any]) -> str:
    """One sentence on the share of the machine's rate that a step reaches."""
    rate = result["gflop"] / result["seconds"]
    return (
        f"{name} with one object (`{STEPS[name]}`) takes {result['seconds']:.3f} s for {result['gflop']:.1f} GFLOP: "
        f"{rate:.1f} GFLOP/s, {result['rate_share']:.0%} of the rate of large products in the same run "
        f"({result['date']}).\n"
    )


def _line(row: Row, result: Mapping[str, Any]) -> str:
    """A row of the table."""
    first, second = result["seconds"]
    low, high = result["spread"]
    met = {None: "", True: "yes", False: "**no**"}[row.met(result["ratio"])]
    return (
        f"| {row.what} | `{result['first']}` | `{result['second']}` | {first:.3f} | {second:.3f} "
        f"| {result['ratio']:.2f} ({low:.2f} to {high:.2f}) | {row.target} | {met} | {result['date']} |\n"
    )


def _range(numbers: Sequence[float]) -> str:
    """The smallest and the largest."""
    low, high = f"{min(numbers):.0f}", f"{max(numbers):.0f}"
    return low if low == high else f"{low} to {high}"
