"""The modality gap drawn: both clouds and the cosines, raw beside mapped, and the numbers.

The charts are Vega-Lite as written by hand: to build the same with Altair takes longer than a
whole comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

import numpy as np
import streamlit as st

from engine.compare.gap import Gap, Side
from engine.compare.verdict import on_collection
from engine.tensorfile import Matrix
from engine.types import SPACES, Space, Vector

_TITLES: dict[Space, str] = {"raw": "Before: raw CLIP", "mapped": "After: mapped"}
_DRAWN = 300
_HEIGHT, _LOW = 380, 260
_MARGIN = 1.1
# Apart for all kinds of colour vision and on light and dark; shapes differ as well.
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY = "#0072B2", "#D55E00", "#009E73", "#B8458C", "#767676"


def show_gap(gap: Gap, query: Mapping[Space, Vector]) -> None:
    """The section about the gap, with the query, its vector in each space, in it."""
    st.subheader("The gap between pictures and words")
    st.markdown(on_collection(gap).sentence)
    reach = _reach(gap, query)
    for space, column in zip(SPACES, st.columns(2), strict=True):
        side = gap.side(space)
        with column:
            st.vega_lite_chart(
                spec=_clouds(_TITLES[space], reach)
                | {"datasets": _cloud_data(side, side.project(query[space]))},
                key=f"clouds {space}",
                alt=_clouds_said(space, side),
                height=_HEIGHT,
            )
            st.vega_lite_chart(
                spec=_histogram(gap.edges, side),
                key=f"cosines {space}",
                alt=_cosines_said(space, side),
                height=_LOW,
            )
    st.table(_numbers(gap), hide_index=True)
    st.caption(_basis(gap))


def _reach(gap: Gap, query: Mapping[Space, Vector]) -> float:
    """How far from the centre anything lies in either picture: they have one scale."""
    clouds = [cloud for side in (gap.raw, gap.mapped) for cloud in (side.images, side.captions)]
    farthest = max(float(np.abs(cloud[:_DRAWN]).max()) for cloud in clouds)
    asked = max(abs(place) for space in SPACES for place in gap.side(space).project(query[space]))
    return round(_MARGIN * max(farthest, asked), 1) + 0.1


def _cloud_data(side: Side, query: tuple[float, float]) -> dict[str, Any]:
    points = [
        {"x": float(x), "y": float(y), "what": what}
        for what, cloud in (("picture", side.images), ("caption", side.captions))
        for x, y in cloud[:_DRAWN]
    ]
    means = [
        {"x": float(x), "y": float(y)}
        for x, y in (side.images.mean(axis=0), side.captions.mean(axis=0))
    ]
    asked = [{"x": query[0], "y": query[1], "what": "your query"}]
    return {"points": points, "means": means, "query": asked}


def _clouds(title: str, reach: float) -> dict[str, Any]:
    axis = {
        "type": "quantitative",
        "scale": {"domain": [-reach, reach]},
        "axis": {"labels": False, "ticks": False},
    }
    place = {
        "x": axis | {"field": "x", "title": "1st principal component"},
        "y": axis | {"field": "y", "title": "2nd principal component"},
    }
    whats = ["picture", "caption", "your query"]
    look = {
        "color": {
            "field": "what",
            "scale": {"domain": whats, "range": [_BLUE, _ORANGE, _GREEN]},
            "legend": {"title": None, "orient": "bottom"},
        },
        "shape": {
            "field": "what",
            "scale": {"domain": whats, "range": ["circle", "triangle-up", "diamond"]},
        },
    }
    return {
        "title": title,
        "layer": [
            {
                "data": {"name": "points"},
                "mark": {"type": "point", "filled": True, "size": 40, "opacity": 0.8},
                "encoding": place | look,
            },
            {
                "data": {"name": "means"},
                "mark": {"type": "line", "color": _GREY, "strokeWidth": 3, "point": False},
                "encoding": place,
            },
            {
                "data": {"name": "query"},
                "mark": {"type": "point", "filled": True, "size": 260, "opacity": 1},
                "encoding": place | look,
            },
        ],
    }


def _histogram(edges: Matrix, side: Side) -> dict[str, Any]:
    """Both distributions at one height, as there are far fewer pairs than other cosines."""
    whats = ["its own caption", "another caption"]
    shares = zip(whats, (side.matched_shares, side.unmatched_shares), strict=True)
    rows = [
        {"from": float(edge), "share": float(share / (bars.max() or 1)), "what": what}
        for what, bars in shares
        for edge, share in zip(edges, [*bars, 0.0], strict=True)
    ]
    encoding = {
        "x": {
            "field": "from",
            "type": "quantitative",
            "title": "cosine of a picture and …",
            "scale": {"domain": [float(edges[0]), float(edges[-1])], "nice": False},
        },
        "y": {
            "field": "share",
            "type": "quantitative",
            "stack": None,
            "title": "how often",
            "axis": {"labels": False, "ticks": False},
        },
        "color": {
            "field": "what",
            "scale": {"domain": whats, "range": [_PURPLE, _GREY]},
            "legend": {"title": None, "orient": "bottom"},
        },
    }
    return {
        "datasets": {"cosines": rows},
        "data": {"name": "cosines"},
        "encoding": encoding,
        "layer": [_steps("area", whats[1], opacity=0.5), _steps("line", whats[0], strokeWidth=3)],
    }


def _steps(mark: str, what: str, **look: float) -> dict[str, Any]:
    return {
        "transform": [{"filter": {"field": "what", "equal": what}}],
        "mark": {"type": mark, "interpolate": "step-after", **look},
    }


def _clouds_said(space: Space, side: Side) -> str:
    return (
        f"{_TITLES[space]}: pictures and captions as two clouds of points, with your query. "
        f"Their means lie {side.distance:.2f} apart."
    )


def _cosines_said(space: Space, side: Side) -> str:
    return (
        f"{_TITLES[space]}: cosines of pictures with their own captions, {side.matched:.2f} in "
        f"the mean, and with other captions, {side.unmatched:.2f} in the mean."
    )


def _numbers(gap: Gap) -> dict[str, list[str]]:
    sides = (gap.raw, gap.mapped)
    numbers = {
        "Distance between the mean picture and the mean caption": [s.distance for s in sides],
        "Mean cosine of a picture and its own caption": [s.matched for s in sides],
        "Mean cosine of a picture and another caption": [s.unmatched for s in sides],
    }
    shown = {name: [_number(value) for value in values] for name, values in numbers.items()}
    firsts = ["–" if isnan(s.own_first) else f"{s.own_first:.0%}" for s in sides]
    shown["Pictures whose nearest caption is their own"] = firsts
    return {
        "Measured": list(shown),
        "Raw": [values[0] for values in shown.values()],
        "Mapped": [values[1] for values in shown.values()],
    }


def _number(value: float) -> str:
    return "–" if isnan(value) else f"{value:.3f}"


def _basis(gap: Gap) -> str:
    said = f"Measured on {gap.pictures:,} pictures, {gap.own:,} captions of theirs"
    said += f" and {gap.others:,} other captions."
    if gap.fitted:
        said += " The map was fitted on some of these pairs, so its numbers flatter it."
    elif gap.judged:
        said += " The map was not fitted on any of these pictures."
    return (
        f"{said} The clouds are drawn on their two main directions (PCA, one for each panel, "
        "both at one scale); the grey line joins the two means."
    )
