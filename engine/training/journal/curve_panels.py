"""How training curves are drawn: a panel of series over shaded phases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, GREY, INK = "#0072b2", "#d55e00", "#009e73", "#7a7a7a", "#222222"
"""Colours that colour-blind people tell apart (Okabe and Ito), and greys for all that is no data."""

BANDS = ("#eef2f6", "#f8f5ec")
"""Backgrounds of the phases, in turn."""

SMALL, MEDIUM, LARGE = 9.5, 11, 15
"""Sizes of letters in points."""


Segment = tuple[np.ndarray, np.ndarray]
"""Steps counted over all phases and values, of one phase"""


@dataclass(frozen=True)
class Series:
    """One value of the log's lines against the step."""

    key: str
    name: str
    colour: str
    digits: str = ".3f"
    """format of its last value in the header; empty: as short as can be"""


@dataclass(frozen=True)
class Panel:
    """A plot of a few series."""

    title: str
    series: tuple[Series, ...]
    limits: Callable[[np.ndarray], tuple[float, float]]
    """the ends of the y axis, of all finite values"""
    logarithmic: bool = False
    smooth: bool = True
    """whether the values are noisy: thin as they are, thick when smoothed"""
    marked: bool = False
    """whether every value is a point with its number beside"""


def draw_phases(axes: Axes, starts: dict[str, int], end: int, *, labelled: bool) -> None:
    """Shade the phases, name them above the plot, and set the x axis."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    edge = 1.01 * end
    ends = [*starts.values(), edge][1:]
    width = axes.get_window_extent().width
    for index, ((name, begin), until) in enumerate(zip(starts.items(), ends, strict=True)):
        axes.axvspan(begin, until, color=BANDS[index % len(BANDS)], linewidth=0, zorder=0)
        letters = int((until - begin) / edge * width / 8)
        if labelled and letters > 1:
            text = name if len(name) <= letters else name[: letters - 1] + "…"
            axes.annotate(
                text, ((begin + until) / 2, 1), (0, 5), xycoords=axes.get_xaxis_transform(),
                textcoords="offset points", ha="center", size=SMALL, weight="bold", color=GREY,
            )  # fmt: skip
    axes.set_xlim(0, edge)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1000:g}k" if x >= 10_000 else f"{x:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _short(y)))
    axes.tick_params(which="both", colors=GREY, labelsize=SMALL, length=0)
    axes.grid(axis="y", color="white", linewidth=1.2, zorder=0.5)
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_panel(axes: Axes, panel: Panel, segments: dict[str, list[Segment]]) -> None:
    """Header, y axis and curves of a panel."""
    values = [values for each in segments.values() for _, values in each]
    finite = np.concatenate([each[np.isfinite(each)] for each in values]) if values else np.empty(0)
    if not finite.size:
        _draw_header(axes, panel, segments)
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing yet", transform=axes.transAxes, ha="center", size=MEDIUM, color=GREY)
        return
    if panel.logarithmic and finite.min() > 0 and finite.max() > 30 * finite.min():
        _make_logarithmic(axes, finite)
    else:
        axes.set_ylim(*panel.limits(finite))
    _draw_header(axes, panel, segments)
    # The first series is the main one, so it is drawn last.
    for order, series in enumerate(reversed(panel.series)):
        main = series is panel.series[0]
        for steps, points in segments[series.key]:
            if panel.marked:
                axes.plot(
                    steps, points, color=series.colour, marker="o", zorder=3 + order,
                    linewidth=1.8 if main else 0.9, markersize=5 if main else 3,
                )  # fmt: skip
            else:
                _draw_line(
                    axes, steps, points, series.colour, order=3 + order, noisy=_is_noisy(panel, points)
                )
        if panel.marked and main:
            _number_points(axes, segments[series.key], series.colour)


def _is_noisy(panel: Panel, values: np.ndarray) -> bool:
    """Whether values are shown smoothed: there must be enough of them."""
    return panel.smooth and len(values) >= 10


def _draw_header(axes: Axes, panel: Panel, segments: dict[str, list[Segment]]) -> None:
    """The title, and every series' name and last (smoothed) value in its colour."""
    style: dict[str, Any] = {"textcoords": "offset points", "va": "bottom", "size": MEDIUM}
    last = axes.annotate(
        panel.title, (0, 1), (0, 19), xycoords="axes fraction", weight="bold", color=INK, **style
    )
    for series in panel.series:
        if segments[series.key]:
            values = segments[series.key][-1][1]
            shown = _mean_line(axes, values) if _is_noisy(panel, values) else values
            value = shown[np.isfinite(shown)][-1]
            words = (
                f"{series.name} {value:{series.digits}}"
                if series.digits
                else f"{series.name} {_short(value)}"
            )
            last = axes.annotate(words.strip(), (1, 0), (12, 0), xycoords=last, color=series.colour, **style)


def _draw_line(
    axes: Axes, steps: np.ndarray, values: np.ndarray, colour: str, *, order: int, noisy: bool
) -> None:
    """One phase of a series, noisy ones thin with their mean on top; short ones show their points."""
    marker = "o" if len(values) < 10 else ""
    style: dict[str, Any] = {"color": colour, "solid_joinstyle": "round"}
    thin: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.35} if noisy else {"linewidth": 1.8}
    axes.plot(steps, values, marker=marker, markersize=4, zorder=order, **thin, **style)
    if noisy:
        axes.plot(steps, _mean_line(axes, values), linewidth=2, zorder=order + 4, **style)


def _mean_line(axes: Axes, values: np.ndarray) -> np.ndarray:
    """Smoothed values; the mean is taken on the scale of the y axis, so that a spike weighs what it looks like."""
    return np.exp(smoothed(np.log(values))) if axes.get_yscale() == "log" else smoothed(values)


def _make_logarithmic(axes: Axes, values: np.ndarray) -> None:
    """A logarithmic y axis from the smallest to the largest value, with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.set_ylim(values.min() / 1.3, values.max() * 1.3)
    axes.yaxis.set_major_locator(LogLocator(10))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _short(y)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _number_points(axes: Axes, segments: list[Segment], colour: str) -> None:
    """Write the value above the best point, the last one, and as many others as there is room for."""
    from matplotlib.patheffects import withStroke

    points = [(x, y) for part in segments for x, y in zip(*part, strict=True) if np.isfinite(y)]
    taken: list[float] = []
    for x, y in [max(points, key=lambda point: point[1]), points[-1], *points]:
        if all(abs(x - other) > 0.055 * axes.get_xlim()[1] for other in taken):
            taken.append(x)
            axes.annotate(
                f"{y:.1f}", (x, y), (0, 7), textcoords="offset points", ha="center", zorder=9, size=SMALL,
                weight="bold", color=colour, path_effects=[withStroke(linewidth=3.5, foreground="white")],
            )  # fmt: skip


def smoothed(values: np.ndarray) -> np.ndarray:
    """Means over bell-shaped windows around every value (N float), nan left out."""
    half = max(3, len(values) // 30)
    window = np.hanning(2 * half + 1)
    known = np.isfinite(values)
    total = np.convolve(np.where(known, values, 0.0), window)[half:-half]
    weight = np.convolve(known.astype(float), window)[half:-half]
    return np.where(known, total / np.maximum(weight, 1e-9), np.nan)


def _short(value: float) -> str:
    """A number with at most three digits, small ones as 2e-5."""
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
