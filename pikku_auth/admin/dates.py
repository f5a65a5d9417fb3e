"""The bar of years, months and days above a list, told from its first and its last row."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.db.models import Max, Min
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _


def date_bar(changelist: Any) -> dict[str, Any]:
    """What ``admin/date_hierarchy.html`` shows; empty for a table without rows.

    Django's own reads every row for the dates that have any. This one offers each date between
    the first and the last.
    """
    name = changelist.date_hierarchy
    rows = changelist.model._default_manager.using(changelist.queryset.db)
    found = rows.aggregate(first=Min(name), last=Max(name))
    if found["first"] is None:
        return {}
    first, last = (timezone.localtime(found[end]).date() for end in ("first", "last"))
    label = changelist.model._meta.get_field(name).verbose_name
    return {"field_name": label, **_Bar(changelist, first, last).levels()}


class _Bar:
    def __init__(self, changelist: Any, first: date, last: date) -> None:
        self.changelist, self.first, self.last = changelist, first, last
        self.name = changelist.date_hierarchy
        asked = (changelist.params.get(f"{self.name}__{part}") for part in ("year", "month", "day"))
        self.year, self.month, self.day = (int(value) if value else None for value in asked)

    def levels(self) -> dict[str, Any]:
        year, month, day = self.year, self.month, self.day
        if not (year or month or day) and self.first.year == self.last.year:
            year = self.first.year
            month = self.first.month if self.first.month == self.last.month else None
        if not year:
            years = range(self.first.year, self.last.year + 1)
            return _choices(None, [self._link(str(one), one) for one in years])
        if not month:
            return _choices(self._link(_("All dates")), self._months(year))
        if not day:
            return _choices(self._link(str(year), year), self._days(year, month))
        chosen = date(year, month, day)
        back = self._link(_in_words(chosen, "YEAR_MONTH_FORMAT"), year, month)
        return _choices(back, [{"title": _in_words(chosen, "MONTH_DAY_FORMAT")}])

    def _months(self, year: int) -> list[dict[str, str]]:
        months = (date(year, month, 1) for month in range(1, 13))
        first = self.first.replace(day=1)
        return [
            self._link(_in_words(one, "YEAR_MONTH_FORMAT"), year, one.month)
            for one in months
            if first <= one <= self.last
        ]

    def _days(self, year: int, month: int) -> list[dict[str, str]]:
        start = date(year, month, 1)
        days = (start + timedelta(days=number) for number in range(31))
        return [
            self._link(_in_words(one, "MONTH_DAY_FORMAT"), year, month, one.day)
            for one in days
            if one.month == month and self.first <= one <= self.last
        ]

    def _link(self, title: str, *parts: int) -> dict[str, str]:
        names = [f"{self.name}__{part}" for part in ("year", "month", "day")]
        asked = dict(zip(names, parts, strict=False))
        return {"title": title, "link": self.changelist.get_query_string(asked, [f"{self.name}__"])}


def _choices(back: dict[str, str] | None, choices: list[dict[str, str]]) -> dict[str, Any]:
    return {"back": back, "choices": choices}


def _in_words(day: date, style: str) -> str:
    return str(capfirst(date_format(day, style)))
