"""Searching for how a text begins, which an index finds among a million rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import validate_ipv46_address
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.text import smart_split, unescape_string_literal

from pikku_auth.core.secrets import start_in

_MOST_RELATED = 1_000
"""Related rows that are looked up first: with their ids, the database uses its index on those."""

_AS_TYPED = {"preview"}
"""Columns in which upper and lower case tell rows apart."""


class SearchingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's class takes none at run time
    """Finds rows by the beginnings in ``search_fields``, and by an address where there is one.

    Each word has to be the beginning of a text, or all of them together. ``name:word`` looks for
    ``word`` anywhere in a text of ``search_texts``, and reads every row.
    """

    search_texts: Mapping[str, Any] = {}
    """What ``name:word`` searches, as an expression."""
    search_address: str = ""
    """The column of addresses."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        plain = []
        for word in smart_split(search_term):
            name, _colon, text = word.partition(":")
            if text and name in self.search_texts:
                queryset = _containing(queryset, self.search_texts[name], _unquoted(text))
            else:
                plain.append(_unquoted(word))
        if plain:
            queryset = queryset.filter(self._found(request, queryset, plain))
        return queryset, False

    def _found(self, request: HttpRequest, rows: QuerySet[Any], words: list[str]) -> Q:
        every = Q()
        for word in words:
            every &= self._beginning(request, rows, word)
        # A name may have a space.
        return every if len(words) == 1 else every | self._beginning(request, rows, " ".join(words))

    def _beginning(self, request: HttpRequest, rows: QuerySet[Any], word: str) -> Q:
        if self.search_address and _is_address(word):
            return Q(**{self.search_address: word})
        found = Q()
        for path in self.get_search_fields(request):
            link, _separator, rest = path.partition("__")
            field: Any = self.model._meta.get_field(link)
            if field.is_relation:
                found |= _linked(field.related_model, rows.db, link, rest, word)
            else:
                found |= _begins(path, word)
        return found


def _linked(model: type[Model], using: str, link: str, path: str, word: str) -> Q:
    """Rows whose ``link`` leads to one of ``model`` that begins with ``word``."""
    found = model._default_manager.using(using).filter(_begins(path, word)).order_by()
    ids = list(found.values_list("pk", flat=True)[: _MOST_RELATED + 1])
    if len(ids) <= _MOST_RELATED:
        return Q(**{f"{link}__in": ids})
    return _begins(f"{link}__{path}", word)


def _begins(path: str, word: str) -> Q:
    """Texts that begin with ``word``, in the ways in which people write it."""
    column = path.rpartition("__")[2]
    if column in _AS_TYPED:
        return Q(**{f"{path}__startswith": start_in(word)})
    found = Q()
    for text in dict.fromkeys([word, word.lower(), word.upper(), word.capitalize()]):
        found |= Q(**{f"{path}__startswith": text})
    return found


def _containing(rows: QuerySet[Any], text: Any, word: str) -> QuerySet[Any]:
    name = f"searched_{len(rows.query.annotations)}"
    found: QuerySet[Any] = rows.alias(**{name: text}).filter(**{f"{name}__icontains": word})
    return found


def _unquoted(word: str) -> str:
    if len(word) > 1 and word[0] in "\"'" and word[0] == word[-1]:
        return unescape_string_literal(word)
    return word


def _is_address(word: str) -> bool:
    try:
        validate_ipv46_address(word)
    except ValidationError:
        return False
    return True
