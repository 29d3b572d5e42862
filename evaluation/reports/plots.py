"""Plots of a report as inline SVG: one file, no script, readable on dark and on light."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.reports.figures import Figure

_INK = "#010203"
"""Stands for the colour of the surrounding text, which the page decides."""
_COLOURS = ("#8a8f98", "#e0803a", "#4c8eda", "#3aa58c", "#b06bd0", "#d0588a", "#a8922f", "#6f9a37")
_OUTSIDE = re.compile(r"<metadata>.*?</metadata>|<\?xml[^>]*\?>|<!DOCTYPE[^>]*>", re.DOTALL)
_NAMESPACE = re.compile(r'\sxmlns(:\w+)?="[^"]*"')


def intervals_plot(panels: Sequence[tuple[str, Sequence[Figure]]], maps: Sequence[str]) -> str:
    """For each panel (title, the figures of its metric) a dot and an interval for every map."""
    from matplotlib.figure import Figure as Canvas

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    height = 0.55 + 0.24 * len(maps)
    canvas = Canvas(figsize=(3.3 * columns, (height + 0.45) * rows), layout="constrained")
    axes = np.atleast_1d(canvas.subplots(rows, columns, squeeze=False)).ravel()
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for at, (axis, (title, figures)) in enumerate(zip(axes, panels, strict=False)):
        _draw_intervals(axis, title, figures, maps, labelled=at % columns == 0)
    return _svg(canvas, "intervals")


def _draw_intervals(
    axis: Any, title: str, figures: Sequence[Figure], maps: Sequence[str], *, labelled: bool
) -> None:
    for figure in figures:
        place = maps.index(figure.map)
        colour = _COLOURS[place % len(_COLOURS)]
        axis.plot([figure.low, figure.high], [place, place], color=colour, linewidth=2.5, alpha=0.7)
        axis.plot([figure.value], [place], "o", color=colour, markersize=6)
    axis.set_title(title, fontsize=10, color=_INK)
    axis.set_yticks(range(len(maps)), list(maps) if labelled else [""] * len(maps))
    axis.set_ylim(len(maps) - 0.5, -0.5)
    axis.margins(x=0.1)
    axis.grid(axis="x", color=_INK, alpha=0.15)
    _plain(axis)


def correlation_plot(
    metrics: Sequence[str], pearson: NDArray[np.float64], spearman: NDArray[np.float64]
) -> str:
    """Pearson above the diagonal, Spearman below it."""
    from matplotlib.figure import Figure as Canvas

    size = 1.6 + 0.55 * len(metrics)
    canvas = Canvas(figsize=(size, size * 0.9), layout="constrained")
    axis = canvas.subplots()
    both = np.triu(pearson, 1) + np.tril(spearman, -1) + np.eye(len(metrics))
    axis.imshow(both, cmap="RdBu_r", vmin=-1.6, vmax=1.6)
    for (row, column), value in np.ndenumerate(both):
        text = "" if row == column else f"{value:.2f}".replace("nan", "–")
        axis.text(column, row, text, ha="center", va="center", fontsize=8, color="#111111")
    axis.set_xticks(range(len(metrics)), list(metrics), rotation=60, ha="right")
    axis.set_yticks(range(len(metrics)), list(metrics))
    _plain(axis)
    return _svg(canvas, "correlations")


def _plain(axis: Any) -> None:
    for side in ("top", "right", "left", "bottom"):
        axis.spines[side].set_visible(False)
    axis.tick_params(length=0, labelsize=9, colors=_INK)


def _svg(canvas: Any, name: str) -> str:
    """The drawing without what points outside of it, its ids made its own."""
    from matplotlib import rc_context

    drawn = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        canvas.savefig(drawn, format="svg", transparent=True)
    text = _NAMESPACE.sub("", _OUTSIDE.sub("", drawn.getvalue())).replace(_INK, "currentColor")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    return text.replace("url(#", f"url(#{name}-").strip()
