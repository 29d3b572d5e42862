"""Days that a question speaks of, in English: "last summer", "May 2024", "two weeks ago"."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_SHORT = {name[:3]: at for at, name in enumerate(_MONTHS, 1)} | {"sept": 9}
_MONTH_OF = {name: at for at, name in enumerate(_MONTHS, 1)} | _SHORT
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
"""The month that each begins with, of three, north of the equator."""

_DIGITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {one: at for at, one in enumerate(_DIGITS, 1)} | {"a": 1, "an": 1, "a couple of": 2}

_YEAR = r"(?P<year>(?:18|19|20|21)\d\d)"
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTH_OF, key=len, reverse=True))})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_MANY = rf"(?P<many>\d{{1,3}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_UNIT = r"(?P<unit>day|week|month|year)s?"


@dataclass(frozen=True)
class Period:
    """Days from the first to the last, both of them in it; `year_said`: the words named a year."""

    first: date
    last: date
    year_said: bool = True


Reading = Callable[[re.Match[str], date], Period]


def months(first: date, last: date | None = None) -> Period:
    """The whole months from that of the first day to that of the last."""
    last = last or first
    end = monthrange(last.year, last.month)[1]
    return Period(first.replace(day=1), last.replace(day=end))


def months_before(day: date, count: int) -> date:
    """The same day so many months earlier, or the last one that this month has."""
    month = day.year * 12 + day.month - 1 - count
    year, at = max(1, month // 12), month % 12 + 1
    return date(year, at, min(day.day, monthrange(year, at)[1]))


def _iso(found: re.Match[str], today: date) -> Period:
    del today
    year, month = int(found["year"]), int(found["month"])
    if found["day"]:
        day = date(year, month, int(found["day"]))
        return Period(day, day)
    return months(date(year, month, 1))


def _of_month(found: re.Match[str], today: date) -> Period:
    """A month or a day of it; without a year the latest that has begun."""
    said = found.groupdict()
    month, day = _MONTH_OF[said["month"].lower()], int(said.get("day") or 1)
    year = int(said["year"]) if said.get("year") else today.year
    first = date(year, month, day)
    if not said.get("year") and first > today:
        first = date(year - 1, month, day)
    whole = Period(first, first) if said.get("day") else months(first)
    return Period(whole.first, whole.last, bool(said.get("year")))


def _year(found: re.Match[str], today: date) -> Period:
    del today
    return Period(date(int(found["year"]), 1, 1), date(int(found["year"]), 12, 31))


def _season_of(year: int, name: str) -> Period:
    first = date(year, _SEASONS[name], 1)
    return months(first, months_before(first, -2))


def _season(found: re.Match[str], today: date) -> Period:
    del today
    return _season_of(int(found["year"]), found["season"].lower())


def _last_or_this_season(found: re.Match[str], today: date) -> Period:
    name = found["season"].lower()
    near = [_season_of(today.year - back, name) for back in range(3)]
    if found["which"].lower() == "last":
        return next(one for one in near if one.last < today)
    return next((one for one in near if one.first <= today <= one.last), near[0])


def _day(found: re.Match[str], today: date) -> Period:
    back = {"today": 0, "yesterday": 1}.get(found[0].lower(), 2)
    day = today - timedelta(days=back)
    return Period(day, day)


def _week_of(day: date) -> Period:
    monday = day - timedelta(days=day.weekday())
    return Period(monday, monday + timedelta(days=6))


def _unit_of(day: date, unit: str) -> Period:
    """The day, or the week, month or year around it."""
    if unit == "day":
        return Period(day, day)
    if unit == "week":
        return _week_of(day)
    return months(day) if unit == "month" else Period(date(day.year, 1, 1), date(day.year, 12, 31))


def _back(today: date, unit: str, many: int) -> date:
    if unit in {"day", "week"}:
        return today - timedelta(days=many * (7 if unit == "week" else 1))
    return months_before(today, many * (12 if unit == "year" else 1))


def _last_or_this(found: re.Match[str], today: date) -> Period:
    unit = found["unit"].lower()
    day = today if found["which"].lower() == "this" else _back(today, unit, 1)
    return _unit_of(day, unit)


def _weekend(found: re.Match[str], today: date) -> Period:
    """Saturday and Sunday of this week, or of the one before, whichever has begun for `last`."""
    saturday = _week_of(today).first + timedelta(days=5)
    if found["which"].lower() == "last":
        saturday -= timedelta(days=7)
    return Period(saturday, saturday + timedelta(days=1))


def _weekday(found: re.Match[str], today: date) -> Period:
    """The latest of that name before today."""
    back = (today.weekday() - _WEEKDAYS.index(found["weekday"].lower()) - 1) % 7 + 1
    day = today - timedelta(days=back)
    return Period(day, day)


def _ago(found: re.Match[str], today: date) -> Period:
    unit = found["unit"].lower()
    return _unit_of(_back(today, unit, _count(found["many"])), unit)


def _past(found: re.Match[str], today: date) -> Period:
    many = _count(found["many"]) if found["many"] else 1
    return Period(_back(today, found["unit"].lower(), many), today)


def _count(said: str) -> int:
    return int(said) if said.isdigit() else _NUMBERS[said.lower()]


_SEASON = rf"(?P<season>{'|'.join(_SEASONS)})"

EXPRESSIONS: tuple[tuple[str, Reading], ...] = (
    (r"(?P<year>(?:18|19|20|21)\d\d)-(?P<month>\d\d?)(?:-(?P<day>\d\d?))?", _iso),
    (rf"(?:the )?{_DAY} (?:of )?{_MONTH}(?:,? (?:of )?{_YEAR})?", _of_month),
    (rf"{_MONTH} (?:the )?{_DAY}(?:,? {_YEAR})?", _of_month),
    (rf"{_MONTH},? (?:of )?{_YEAR}", _of_month),
    (rf"(?P<which>last|this) {_SEASON}", _last_or_this_season),
    (rf"(?:the )?{_SEASON} (?:of )?{_YEAR}", _season),
    (r"the day before yesterday|yesterday|today", _day),
    (r"(?P<which>last|this) (?P<unit>week|month|year)", _last_or_this),
    (r"(?P<which>last|this) weekend", _weekend),
    (rf"last (?P<weekday>{'|'.join(_WEEKDAYS)})", _weekday),
    (rf"{_MANY} {_UNIT} ago", _ago),
    (rf"the (?:last|past) (?:{_MANY} )?{_UNIT}", _past),
)
"""What says by itself that it is a time."""

AFTER_A_WORD: tuple[tuple[str, Reading], ...] = (
    (_MONTH, _of_month),
    (rf"(?:the year )?{_YEAR}", _year),
    (rf"(?P<weekday>{'|'.join(_WEEKDAYS)})", _weekday),
)
"""What is a time only behind a word such as `in`: March may be a verb, and 2020 a number."""

_ALL = tuple(
    (re.compile(pattern, re.IGNORECASE), read) for pattern, read in (*EXPRESSIONS, *AFTER_A_WORD)
)


def any_of(expressions: tuple[tuple[str, Reading], ...]) -> str:
    """A pattern, without groups that have names, of what any of them matches."""
    return "|".join(re.sub(r"\?P<\w+>", "?:", pattern) for pattern, _ in expressions)


def read_period(text: str, today: date) -> Period | None:
    """The days that the whole text stands for; None where it is none, as the 31st of June."""
    for pattern, read in _ALL:
        if found := pattern.fullmatch(text):
            try:
                return read(found, today)
            except (ValueError, OverflowError, StopIteration):
                return None
    return None


def between(first: Period, last: Period) -> Period | None:
    """From the beginning of one to the end of another, which may have said the year for both."""
    start = first.first
    if not first.year_said:
        start = _in_year(start, last.last.year)
        if start > last.last:
            start = _in_year(start, last.last.year - 1)
    return Period(start, last.last) if start <= last.last else None


def _in_year(day: date, year: int) -> date:
    return day.replace(year=year, day=min(day.day, monthrange(year, day.month)[1]))


def written_days(after: date | None, before: date | None) -> tuple[tuple[str, str], ...]:
    """Days as filters: whole years and months are written as such, each as (name, value)."""
    if after and before and after.year == before.year:
        whole = Period(after, before)
        for unit, size in (("year", 4), ("month", 7)):
            same = _unit_of(after, unit)
            if (same.first, same.last) == (whole.first, whole.last):
                short = after.isoformat()[:size]
                return (("after", short), ("before", short))
    given = (("after", after), ("before", before))
    return tuple((name, day.isoformat()) for name, day in given if day)
