"""The report as one HTML file: no script and nothing outside of it, on dark and on light."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from engine.errors import UnreadableImage
from engine.images import open_pixels
from engine.legible import legible
from engine.search.thumbnails import shrunk
from evaluation.evaluate import CAPTIONS, TO_CAPTION, TO_PICTURE, TO_WORD
from evaluation.reports.figures import MEDIANS, Figure
from evaluation.reports.plots import correlation_plot, intervals_plot
from evaluation.reports.report import Report

SHOWN = 8
"""The best and the worst pictures, so many of each."""
_SIDE = 320
_TASKS = (CAPTIONS, TO_CAPTION, TO_PICTURE, TO_WORD)
_PANELS = (
    (CAPTIONS, "cider-d"),
    (CAPTIONS, "bleu-4"),
    (CAPTIONS, "spice"),
    (CAPTIONS, "clip-score-mapped"),
    (TO_CAPTION, "mrr"),
    (TO_CAPTION, "hit@1"),
    (TO_PICTURE, "mrr"),
    (TO_PICTURE, "recall@10"),
    (TO_WORD, "ndcg@10"),
)


def as_html(report: Report) -> str:
    """The report for a person; text from the collection is shown, never interpreted."""
    about = report.as_json()
    return (
        _environment()
        .get_template("template.html")
        .render(
            title=f"Evaluation of {report.subject.collection}",
            summary=_summary(about),
            missing=about["missing"],
            figures=_figures(report.evaluation.figures, list(report.evaluation.maps)),
            notes=about["notes"],
            intervals=_intervals(report),
            correlations=_correlations(report),
            pictures=_pictures(report),
            judge=report.judge,
            shown_map=report.shown_map,
            maps=about["maps"],
            provenance=list(_provenance(about)),
        )
    )


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """Text on one line, without what turns its order; the template escapes its markup."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return legible(value.replace("\n", " "))
    return value


def _summary(about: Mapping[str, Any]) -> str:
    splits = ", ".join(split or "(no split)" for split in about["splits"])
    limit = f", a sample of at most {about['limit']:,}" if about["limit"] else ""
    return (
        f"{about['pictures']:,} pictures of split {splits}{limit}, with {about['references']:,} "
        f"references; {about['created']}, {about['seconds']:,.0f} s"
    )


def _figures(
    figures: Sequence[Figure], maps: Sequence[str]
) -> dict[str, dict[str, list[dict[str, str] | None]]]:
    """By task and metric a cell for each map, None where it was not measured."""
    table = {}
    for task, of_task in groupby(sorted(figures, key=lambda f: _TASKS.index(f.task)), _task):
        metrics: dict[str, dict[str, Figure]] = {}
        for figure in of_task:
            metrics.setdefault(figure.metric, {})[figure.map] = figure
        table[task] = {
            metric: [_cell(by_map[name]) if name in by_map else None for name in maps]
            for metric, by_map in metrics.items()
        }
    return table


def _task(figure: Figure) -> str:
    return figure.task


def _cell(figure: Figure) -> dict[str, str]:
    digits = 1 if figure.metric in MEDIANS.values() else 4
    cell = {
        name: f"{value:.{digits}f}"
        for name, value in (("value", figure.value), ("low", figure.low), ("high", figure.high))
    }
    difference = figure.difference
    if difference is None:
        return cell
    kind = "up" if difference.low > 0 else "down" if difference.high < 0 else ""
    return cell | {
        "kind": kind,
        "mark": {"up": "▲", "down": "▼", "": ""}[kind],
        "difference": f"{difference.mean:+.4f} (p {difference.p:.3f})",
        "from_raw": f"from raw: {difference.low:+.4f} to {difference.high:+.4f}",
    }


def _intervals(report: Report) -> Markup:
    figures = report.evaluation.figures
    panels = []
    for task, metric in _PANELS:
        found = [figure for figure in figures if (figure.task, figure.metric) == (task, metric)]
        if found:
            panels.append((f"{task}: {metric}", found))
    return _drawn(intervals_plot(panels, list(report.evaluation.maps)))


def _correlations(report: Report) -> Markup | None:
    found = report.correlations()
    if found is None:
        return None
    return _drawn(correlation_plot(found.metrics, found.pearson, found.spearman))


def _drawn(plot: str) -> Markup:
    """A drawing of ours: matplotlib escapes the text in it, and `plots` takes out what is not."""
    return Markup(plot)


def _pictures(report: Report) -> dict[str, list[dict[str, Any]]]:
    best, worst = report.best_and_worst(SHOWN)
    if not best:
        return {}
    return {
        title: [_card(report, row) for row in rows]
        for title, rows in (("Best", best), ("Worst", worst))
    }


def _card(report: Report, row: int) -> dict[str, Any]:
    examples, evaluation = report.examples, report.evaluation
    score = evaluation.scores[report.shown_map][report.judge].values[row]
    return {
        "data": _small(examples.uris[row]),
        "score": f"{score:.4f}",
        "image_id": examples.image_ids[row],
        "references": examples.references[row],
        "captions": _maps_by_caption(evaluation.captions, row),
    }


def _maps_by_caption(captions: Mapping[str, Sequence[str]], row: int) -> dict[str, list[str]]:
    """Maps with the same caption share a line."""
    names: dict[str, list[str]] = {}
    for name, of_map in captions.items():
        names.setdefault(of_map[row], []).append(name)
    return names


def _small(uri: str) -> str:
    """The picture as base64 of WebP, "" where it is gone."""
    try:
        return b64encode(shrunk(open_pixels(Path(uri)), _SIDE)).decode("ascii")
    except UnreadableImage:
        return ""


def _provenance(about: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "command", about["command"]
    for name, value in about["environment"].items():
        yield f"variable {name}", value
    for section in ("models", "data", "settings", "versions"):
        yield from _flat(section, about[section])


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}: {key}", inner)
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else value
