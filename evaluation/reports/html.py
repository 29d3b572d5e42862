"""The report as one HTML file: no script and nothing outside of it, on dark and on light."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any

from engine.errors import UnreadableImage
from engine.images import open_picture
from engine.search.thumbnails import shrunk
from evaluation.evaluate import CAPTIONS, TO_CAPTION, TO_PICTURE, TO_WORD
from evaluation.reports.figures import MEDIANS, Figure
from evaluation.reports.plots import correlation_plot, intervals_plot
from evaluation.reports.report import Report

SHOWN = 8
"""The best and the worst pictures, so many of each."""
_SIDE = 320
_FRAME = Path(__file__).with_name("report_frame.html")
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
    frame = Template(_FRAME.read_text(encoding="utf-8"))
    about = report.as_json()
    return frame.substitute(
        title=_text(f"Evaluation of {report.subject.collection}"),
        summary=_text(_summary(about)),
        missing=_list(f"{what}: {why}" for what, why in about["missing"].items()),
        missing_hidden="" if about["missing"] else "hidden",
        table=_table(report.evaluation.figures, list(report.evaluation.maps)),
        maps=_maps(about["maps"]),
        intervals=_intervals(report),
        correlations=_correlations(report),
        pictures=_pictures(report),
        notes=_list(about["notes"]),
        provenance=_provenance(about),
    )


def _summary(about: Mapping[str, Any]) -> str:
    splits = ", ".join(split or "(no split)" for split in about["splits"])
    limit = f", a sample of at most {about['limit']:,}" if about["limit"] else ""
    return (
        f"{about['pictures']:,} pictures of split {splits}{limit}, with {about['references']:,} "
        f"references; {about['created']}, {about['seconds']:,.0f} s"
    )


def _table(figures: Sequence[Figure], maps: Sequence[str]) -> str:
    """A row for each metric, a column for each map."""
    heads = "".join(f'<th scope="col">{_text(name)}</th>' for name in maps)
    rows = []
    for task, of_task in groupby(sorted(figures, key=_task_order), key=lambda f: f.task):
        span = len(maps) + 1
        rows.append(f'<tr><th scope="rowgroup" colspan="{span}">{_text(task)}</th></tr>')
        metrics: dict[str, dict[str, Figure]] = {}
        for figure in of_task:
            metrics.setdefault(figure.metric, {})[figure.map] = figure
        for metric, by_map in metrics.items():
            cells = "".join(_cell(by_map.get(name)) for name in maps)
            rows.append(f'<tr><th scope="row">{_text(metric)}</th>{cells}</tr>')
    return f"<thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _task_order(figure: Figure) -> int:
    return (CAPTIONS, TO_CAPTION, TO_PICTURE, TO_WORD).index(figure.task)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "<td>–</td>"
    digits = 1 if figure.metric in MEDIANS.values() else 4
    value = f"{figure.value:.{digits}f}"
    bounds = f"<small>{figure.low:.{digits}f} to {figure.high:.{digits}f}</small>"
    difference = figure.difference
    if difference is None:
        return f"<td>{value}{bounds}</td>"
    mark = "▲" if difference.low > 0 else "▼" if difference.high < 0 else ""
    kind = "up" if difference.low > 0 else "down" if difference.high < 0 else ""
    title = f"from raw: {difference.low:+.4f} to {difference.high:+.4f}"
    return (
        f'<td>{value}{bounds}<small class="{kind}" title="{title}">{mark} '
        f"{difference.mean:+.4f} (p {difference.p:.3f})</small></td>"
    )


def _maps(maps: Sequence[Mapping[str, Any]]) -> str:
    rows = (
        "<tr>"
        + "".join(
            f"<td>{_text(value)}</td>"
            for value in (
                one["name"],
                one["method"],
                "" if one["strength"] is None else f"{one['strength']:g}",
                f"{one['pairs']:,.0f}",
                one["source"],
                one["reason"],
                one["fingerprint"],
            )
        )
        + "</tr>"
        for one in maps
    )
    heads = ("map", "method", "strength", "pairs", "fitted on", "how it came about", "fingerprint")
    head = "".join(f'<th scope="col">{title}</th>' for title in heads)
    return f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _intervals(report: Report) -> str:
    figures = report.evaluation.figures
    panels = []
    for task, metric in _PANELS:
        found = [figure for figure in figures if (figure.task, figure.metric) == (task, metric)]
        if found:
            panels.append((f"{task}: {metric}", found))
    plot = intervals_plot(panels, list(report.evaluation.maps))
    label = "Figures of each map with their intervals, as in the table above"
    return f'<figure role="img" tabindex="0" aria-label="{label}">{plot}</figure>'


def _correlations(report: Report) -> str:
    found = report.correlations()
    if found is None:
        return "<p>There are not enough caption metrics, or pictures, to correlate.</p>"
    plot = correlation_plot(found.metrics, found.pearson, found.spearman)
    label = (
        f"Correlations between metrics over the {report.shown_map} captions: "
        "Pearson above the diagonal, Spearman below; all values are in the JSON report"
    )
    figure = f'<figure role="img" tabindex="0" aria-label="{_text(label)}">{plot}</figure>'
    return f"{figure}<p>{_text(label)}.</p>"


def _pictures(report: Report) -> str:
    best, worst = report.best_and_worst(SHOWN)
    if not best:
        return "<p>Too few captions were scored to call any best or worst.</p>"
    judged = f"by {report.judge} of the {report.shown_map} captions"
    parts = []
    for title, rows in (("Best", best), ("Worst", worst)):
        cards = "".join(_card(report, row) for row in rows)
        parts.append(f'<h3>{title} {_text(judged)}</h3><div class="cards">{cards}</div>')
    return "".join(parts)


def _card(report: Report, row: int) -> str:
    examples, evaluation = report.examples, report.evaluation
    score = evaluation.scores[report.shown_map][report.judge].values[row]
    captions = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(captions[row])}</dd>"
        for name, captions in _distinct(evaluation.captions, row)
    )
    return (
        f"<article>{_picture(examples.uris[row], examples.references[row][0])}"
        f"<p><b>{score:.4f}</b> <code>{_text(examples.image_ids[row])}</code></p>"
        f"<dl>{captions}</dl>{_list(examples.references[row])}</article>"
    )


def _distinct(
    captions: Mapping[str, Sequence[str]], row: int
) -> Iterator[tuple[str, Sequence[str]]]:
    """Maps with the same caption share a line."""
    names: dict[str, list[str]] = {}
    for name, of_map in captions.items():
        names.setdefault(of_map[row], []).append(name)
    for group in names.values():
        yield ", ".join(group), captions[group[0]]


def _picture(uri: str, alt: str) -> str:
    """The picture inside the file, or a word on where it is not."""
    try:
        small = shrunk(open_picture(Path(uri)).image, _SIDE)
    except UnreadableImage:
        return '<p class="gone">The picture file is gone or cannot be read.</p>'
    data = b64encode(small).decode("ascii")
    return f'<img src="data:image/webp;base64,{data}" alt="{_text(alt)}">'


def _provenance(about: Mapping[str, Any]) -> str:
    rows = [("command", about["command"])]
    rows += [(f"variable {name}", value) for name, value in about["environment"].items()]
    for section in ("models", "data", "settings", "versions"):
        rows += _flat(section, about[section])
    return "".join(
        f'<tr><th scope="row">{_text(name)}</th><td><code>{_text(value)}</code></td></tr>'
        for name, value in rows
    )


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [row for key, inner in value.items() for row in _flat(f"{name}: {key}", inner)]
    if isinstance(value, list):
        return [(name, ", ".join(map(str, value)))]
    return [(name, value)]


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(item)}</li>" for item in items) + "</ul>"


def _text(value: Any) -> str:
    """Untrusted text as text: markup is escaped, and what steers direction or display is out."""
    plain = "".join(char if char.isprintable() else " " for char in str(value))
    return escape(plain, quote=True)
