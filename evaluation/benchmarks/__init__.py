"""Benchmarks, one file each, by name."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from aotlab.utils.errors import require, require_choice
from aotlab.utils.plugins import (
    BENCHMARK_PLUGINS,
    MEASURE_PLUGINS,
    PluginChoices,
    find_plugin,
)

if TYPE_CHECKING:
    from aotlab.dataloaders.labeled_video import Video
    from aotlab.evaluation.benchmark import Benchmark

BUILT_IN = {
    "davis2016": "davis:DAVIS2016",
    "davis2017": "davis:DAVIS2017",
    "youtubevos2018": "youtube_vos:YouTubeVOS2018",
    "youtubevos2019": "youtube_vos:YouTubeVOS2019",
    "vost": "vost:VOST",
    "visor": "visor:VISOR",
    "mose": "mose:MOSE",
    "mosev2": "mosev2:MOSEv2",
    "lvosv1": "lvos:LVOSv1",
    "lvosv2": "lvos:LVOSv2",
    "longvideo": "longvideo:LongVideo",
    "sav": "sav:SAV",
    "folder": "folder:FolderBenchmark",
}
"""``module:class`` of this package by name."""
BENCHMARKS = PluginChoices(BENCHMARK_PLUGINS, BUILT_IN)
"""Names of all benchmarks, also of plug-ins."""


def find_benchmark(name: str, options: Sequence[str] = (), *, measures: Sequence[str] = ()) -> Benchmark:
    """Return a benchmark by its name; a built-in one, else that of a plug-in, whose module is imported.

    Args:
        name: name of a benchmark.
        options: names of the class's fields to set to True, such as ``all_frames``.
        measures: names of plug-ins' measures, which become further columns.

    Raises:
        InputError: no benchmark or measure has this name, or the benchmark has no such option.
    """
    kind = _find_class(name)
    for option in options:
        supported = [other for other in BUILT_IN if option in _list_options(_find_class(other))]
        require(
            option in _list_options(kind),
            f"{name} has no such option",
            subject=f"--{option.replace('_', '-')}",
            remedy=f"only {', '.join(supported)}",
        )
    for measure in measures:
        find_plugin(MEASURE_PLUGINS, measure)
        is_free = measure not in kind.columns
        require(is_free, f"{name} has a column of this name", subject=f"measure {measure}", remedy="choose another")
    return kind(name, measures=tuple(dict.fromkeys(measures)), **dict.fromkeys(options, True))


def select_videos(videos: Sequence[Video], names: Sequence[str]) -> list[Video]:
    """Return the videos of these names, in the benchmark's order; all without names."""
    known = [video.name for video in videos]
    for name in names:
        require_choice(name, known, "sequence")
    return [video for video in videos if not names or video.name in names]


def _find_class(name: str) -> type[Benchmark]:
    if BENCHMARKS.is_built_in(name, "dataset"):
        kind: type[Benchmark] = pkgutil.resolve_name(f"{__package__}.{BUILT_IN[name]}")
        return kind
    return find_plugin(BENCHMARK_PLUGINS, name)  # type: ignore[no-any-return]


def _list_options(kind: type[Benchmark]) -> set[str]:
    return {item.name for item in fields(kind)} - {"name", "measures"}
