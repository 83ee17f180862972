"""Table of all comparisons on this machine, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from aotlab.utils.errors import InputError, RunStopped
from aotlab.utils.files import write_text
from aotlab.utils.progress import progress_bar
from benchmarks.machine import describe_machine
from benchmarks.parts import measure
from benchmarks.settings import parse_setting
from benchmarks.timed_tracker import TimedTracker, compare

MODELS = ("aott", "deaott", "r50_aotl", "r50_deaotl")
PARTS_ALONE = {
    "local_attention": ("aott", "deaott"),
    "global_attention": ("aott", "r50_aotl,at_frame=30"),
    "products": ("aott", "deaott", "r50_aotl", "r50_deaotl", "swinb_deaotl"),
    "norms": ("aott", "r50_aotl"),
    "groups": ("aott,objects=30",),
    "memory": ("r50_aotl,at_frame=30", "r50_deaotl,at_frame=30"),
    "planes": ("aott",),
    "argmax": ("aott", "aott,objects=10"),
    "sync": ("aott",),
    "layout": ("aott", "deaott", "r50_aotl"),
    "allocator": ("aott", "r50_aotl"),
}
"""parts of the baseline, and the settings where they matter"""
BOUNDED = "aotl,memory.policy=relevance_redundancy,memory.frames=9"
LONG = "aott,memory.policy=bounded_fifo,memory.frames=9,size=256x144"


def rows() -> Iterator[tuple[str, ...]]:
    """Yield settings to measure by themselves, and pairs of settings to compare."""
    for model in MODELS:
        yield (f"{model},at_frame=30" if model == "r50_aotl" else model,)
    for model in MODELS:
        for setting in (model, f"{model},objects=10"):
            yield f"{setting},baseline=all", setting
    yield "r50_aotl,at_frame=30,baseline=all", "r50_aotl,at_frame=30"
    for model in MODELS:
        yield f"{model},objects=10", model
    yield f"{BOUNDED},at_frame=95", f"{BOUNDED},at_frame=45"
    yield f"{LONG},at_frame=2800", f"{LONG},at_frame=200"
    for part, settings in PARTS_ALONE.items():
        for setting in settings:
            yield f"{setting},baseline={part}", setting
    for model in MODELS:
        yield f"{model},kernels=fixed", f"{model},kernels=tuned"
        yield model, f"{model},precision=bfloat16"


def write_table(
    path: Path,
    *,
    extra: str = "",
    only: str = "",
    table: Sequence[tuple[str, ...]] = (),
    progress: bool = True,
) -> None:
    """Measure rows one after another and write them as Markdown, again after each row.

    Args:
        path: Markdown file; what it holds is replaced.
        extra: settings to append to all, such as ``frames=8``.
        only: text that the rows to measure contain; empty: all rows.
        table: rows to measure; empty: `rows`.
        progress: show a bar.

    Raises:
        InputError: no such row, setting or device, or the file cannot be written.
        RunStopped: rows that failed, after all others.
    """
    chosen = [row for row in table or tuple(rows()) if only in " ".join(row)]
    if not chosen:
        raise InputError(f"only {only}: no row contains this text")
    settings = [[parse_setting(f"{text},{extra}" if extra else text) for text in row] for row in chosen]
    lines: dict[int, list[str]] = {1: [], 2: []}
    failed = []
    with progress_bar(len(settings), unit="row", shown=progress) as bar:
        for row in settings:
            try:
                runs = [TimedTracker(setting) for setting in row]
                lines[len(row)].append(_line(*runs))
                write_text(path, _text(lines, runs[0]))
            except (RuntimeError, MemoryError) as error:  # such as a GPU without memory
                titles = " ".join(setting.title for setting in row)
                failed.append(f"{titles} ({(str(error) or type(error).__name__).splitlines()[0]})")
            bar.update()
    if failed:
        raise RunStopped(f"{path}: not measured: {'; '.join(failed)}; all other rows are written")


def _line(*runs: TimedTracker) -> str:
    if len(runs) == 1:
        found = measure(runs[0])
        return (
            f"| `{found.title}` | {found.seconds:.3f} | {found.gflop:.1f} | {found.gflop / found.seconds:.0f} "
            f"| {found.rate_share:.0%} |\n"
        )
    pair = compare(*runs)
    (first, second), (low, high) = pair.medians, pair.spread
    return (
        f"| `{pair.first}` | `{pair.second}` | {first:.3f} | {second:.3f} "
        f"| {pair.ratio:.2f} ({low:.2f} to {high:.2f}) |\n"
    )


def _text(lines: dict[int, list[str]], run: TimedTracker) -> str:
    text = f"{describe_machine(run.tracker.device).title}\n"
    if lines[1]:
        text += "\n| setting | s per frame | GFLOP | GFLOP/s | of the rate of large products |\n|---|---|---|---|---|\n"
    text += "".join(lines[1])
    if lines[2]:
        text += "\n| A | B | A, s | B, s | A / B (10th to 90th percentile) |\n|---|---|---|---|---|\n"
    return text + "".join(lines[2])
