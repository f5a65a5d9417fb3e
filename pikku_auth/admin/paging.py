"""Lists of any length: what is counted, paged and sorted is bounded, or an index serves it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.paginator import Page, Paginator
from django.db import connections
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

MOST = 10_000
"""Rows that are counted one by one, and that a list has pages for."""

_DIGITS = 3
"""Of an estimate, those that are shown."""


class Count(int):
    """A number of rows, in words where it is written."""

    words: Any = "%(n)s"

    def __str__(self) -> str:
        return str(self.words % {"n": number_format(int(self), force_grouping=True)})


class MoreThan(Count):
    """The counting stopped there."""

    words = _("more than %(n)s")


class About(Count):
    """The database estimates it."""

    words = _("about %(n)s")


def count_of(rows: QuerySet[Any]) -> Count:
    """How many ``rows`` there are. It counts ``MOST`` at most, and estimates a whole table."""
    return _counted(rows, rows.order_by()[: MOST + 1].count())


def _counted(rows: QuerySet[Any], found: int) -> Count:
    return Count(found) if found <= MOST else _estimate(rows) or MoreThan(MOST)


def _estimate(rows: QuerySet[Any]) -> About | None:
    """What PostgreSQL knows of the length of a table; ``None`` if it doesn't, or of a part."""
    connection = connections[rows.db]
    if connection.vendor != "postgresql" or rows.query.where:
        return None
    table = connection.ops.quote_name(rows.model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s)", [table])
        (number,) = cursor.fetchone() or (0,)
    digits = len(str(int(number)))
    rounded = round(int(number), _DIGITS - digits)
    return About(rounded) if rounded > MOST else None


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # Django's class takes none at run time
    """Has pages for the first ``MOST`` rows.

    One statement finds the ids of them all. So a condition that no index serves costs one reading
    of the table, not one for the count and one for the page; and nothing is skipped row by row.
    """

    object_list: Any

    @cached_property
    def ids(self) -> list[Any]:
        """The primary keys of the first rows in their order, and of one more."""
        return list(self.object_list.values_list("pk", flat=True)[: MOST + 1])

    @cached_property
    def count(self) -> Count:
        return _counted(self.object_list, len(self.ids))

    @property
    def is_cut(self) -> bool:
        """Whether there are rows behind the last page."""
        return len(self.ids) > MOST

    @cached_property
    def num_pages(self) -> int:
        return max(1, -(-min(len(self.ids), MOST) // self.per_page))

    def page(self, number: Any) -> Any:
        number = self.validate_number(number)
        return Page(self.rows(number), number, self)

    def rows(self, number: int, pages: int = 1) -> QuerySet[Any]:
        """The rows of the page with that number, or of some pages from there on."""
        start, end = (number - 1) * self.per_page, (number - 1 + pages) * self.per_page
        rows: QuerySet[Any] = self.object_list.filter(pk__in=self.ids[start : min(end, MOST)])
        return rows


class BoundedChangeList(ChangeList):
    """Sorts by one column, and by none that the screen doesn't offer."""

    most = Count(MOST)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page or (self.show_all and self.can_show_all):
            paginator: Any = self.paginator
            self.result_list = paginator.rows(1, paginator.num_pages)

    def get_ordering_field(self, field_name: Any) -> Any:
        if field_name not in (self.sortable_by or ()):
            return None
        return super().get_ordering_field(field_name)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Equal rows in the order of their ids, the same way round: so the index has them."""
        found = list(super().get_ordering(request, queryset))
        if not self.params.get(ORDER_VAR):
            return found
        first = str(found[0])
        if first.lstrip("-") == "pk":
            return list(self.model_admin.get_ordering(request))
        return [first, "-pk" if first.startswith("-") else "pk"]

    def get_ordering_field_columns(self) -> Any:
        return dict([*super().get_ordering_field_columns().items()][:1])


class PagingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's class takes none at run time
    """Lists that cost the same for a hundred rows and for a million."""

    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # each would be counted over all rows
    sortable_by: ClassVar[tuple[str, ...]] = ()

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[BoundedChangeList]:
        return BoundedChangeList
