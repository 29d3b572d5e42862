"""The modality gap drawn: both clouds and the cosines, before and after the map, and the numbers.

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
from engine.tensorfile import Matrix
from engine.types import SPACES, Space, Vector
from ui.compare.figure import share
from ui.shared.spaces import SPACES as SPACE_WORDS

_TITLES: dict[Space, str] = {"raw": "Before the map", "mapped": "After the map"}
_DRAWN = 300
_HEIGHT, _LOW = 380, 260
_MARGIN = 1.1
# Apart for all kinds of colour vision and on light and dark; shapes differ as well.
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY = "#0072B2", "#D55E00", "#009E73", "#B8458C", "#767676"


def show_gap(gap: Gap, query: Mapping[Space, Vector]) -> None:
    """The section about the gap, with the query, its vector in each space, in it."""
    st.header("The gap between pictures and words")
    st.markdown(
        f"Between the mean picture and the mean caption lie **{gap.raw.distance:.2f}** before the "
        f"map and **{gap.mapped.distance:.2f}** after it. Left to right is the way from pictures "
        "to words: where the two lines meet, the gap is closed."
    )
    reach = _reach(gap, query)
    for space, column in zip(SPACES, st.columns(2), strict=True):
        side = gap.side(space)
        with column:
            st.vega_lite_chart(
                spec=_clouds(_title(space), reach)
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
    st.caption(
        "Both panels have the same axes and one scale: along the direction between the two means "
        "before the map, and along the widest spread across it (first principal component of what "
        "is left). Each is centred between its means."
    )


def _title(space: Space) -> str:
    return f"{_TITLES[space]}: {SPACE_WORDS[space].both}"


def _reach(gap: Gap, query: Mapping[Space, Vector]) -> float:
    """How far from the centre anything lies in either picture: they have one scale."""
    clouds = [cloud for side in (gap.raw, gap.mapped) for cloud in (side.images, side.captions)]
    farthest = max(float(np.abs(cloud[:_DRAWN]).max()) for cloud in clouds)
    asked = max(abs(place) for space in SPACES for place in gap.side(space).project(query[space]))
    return round(_MARGIN * max(farthest, asked), 1) + 0.1


def _cloud_data(side: Side, query: tuple[float, float]) -> dict[str, Any]:
    clouds = (("pictures", side.images), ("captions", side.captions))
    points = [
        {"x": float(x), "y": float(y), "what": what}
        for what, cloud in clouds
        for x, y in cloud[:_DRAWN]
    ]
    ends = [float(cloud[:, 0].mean()) for _, cloud in clouds]
    means = [{"x": x, "what": what} for x, (what, _) in zip(ends, clouds, strict=True)]
    between = [{"x": min(ends), "x2": max(ends), "told": f"gap {side.distance:.2f}"}]
    asked = [{"x": query[0], "y": query[1], "what": "your query"}]
    return {"points": points, "means": means, "between": between, "query": asked}


def _clouds(title: str, reach: float) -> dict[str, Any]:
    axis = {
        "type": "quantitative",
        "scale": {"domain": [-reach, reach]},
        "axis": {"labels": False, "ticks": False},
    }
    x = axis | {"field": "x", "title": "from pictures to words"}
    y = axis | {"field": "y", "title": "across"}
    whats = ["pictures", "captions", "your query"]
    colour = {
        "field": "what",
        "scale": {"domain": whats, "range": [_BLUE, _ORANGE, _GREEN]},
        "legend": {"title": None, "orient": "bottom"},
    }
    shape = {
        "field": "what",
        "scale": {"domain": whats, "range": ["circle", "triangle-up", "diamond"]},
    }
    look = {"color": colour, "shape": shape}
    # The gap stands at the top, above the clouds.
    top = axis | {"datum": reach * 0.93, "title": "across"}
    return {
        "title": title,
        "layer": [
            {
                "data": {"name": "points"},
                "mark": {"type": "point", "filled": True, "size": 40, "opacity": 0.55},
                "encoding": {"x": x, "y": y} | look,
            },
            {
                "data": {"name": "means"},
                "mark": {"type": "rule", "strokeWidth": 3},
                "encoding": {"x": x, "color": colour},
            },
            {
                "data": {"name": "between"},
                "mark": {"type": "rule", "strokeWidth": 6, "color": _GREY},
                "encoding": {"x": x, "x2": {"field": "x2"}, "y": top},
            },
            {
                "data": {"name": "between"},
                "mark": {
                    "type": "text",
                    "align": "left",
                    "dx": 10,
                    "fontSize": 14,
                    "fontWeight": "bold",
                    "color": _GREY,
                },
                "encoding": {"x": x | {"field": "x2"}, "y": top, "text": {"field": "told"}},
            },
            {
                "data": {"name": "query"},
                "mark": {"type": "point", "filled": True, "size": 260, "opacity": 1},
                "encoding": {"x": x, "y": y} | look,
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
        f"{_title(space)}: pictures and captions as two clouds of points, with your query. Their "
        f"means, drawn as two lines, lie {side.distance:.2f} apart."
    )


def _cosines_said(space: Space, side: Side) -> str:
    return (
        f"{_title(space)}: cosines of pictures with their own captions, {side.matched:.2f} in "
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
    firsts = ["–" if isnan(s.own_first) else share(s.own_first) for s in sides]
    shown["Pictures whose nearest caption is their own"] = firsts
    return {
        "Measured": list(shown),
        "By plain CLIP (raw)": [values[0] for values in shown.values()],
        "By meaning (mapped)": [values[1] for values in shown.values()],
    }


def _number(value: float) -> str:
    return "–" if isnan(value) else f"{value:.3f}"
