"""Natural keys: how a fixture names a row without its id.

Without them ``loaddata`` replaces whichever row has the same id there.
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

from django.db import models

M = TypeVar("M", bound="NaturalKeyModel")


class NaturalKeyQuerySet(models.QuerySet[M], Generic[M]):
    """Finds a row by its natural key, as Django's deserializers ask for it."""

    def get_by_natural_key(self, *values: Any) -> M:
        """The row with these values.

        :raises Model.DoesNotExist: when there is none.
        """
        names = self.model.natural_key_fields
        found = self.filter(**dict(zip(names, values, strict=True))).order_by("pk").first()
        if found is None:
            raise self.model.DoesNotExist
        return found


class NaturalKeyModel(models.Model):
    """A model whose rows are known by ``natural_key_fields``."""

    natural_key_fields: ClassVar[tuple[str, ...]]

    objects = NaturalKeyQuerySet.as_manager()

    class Meta:
        abstract = True

    def natural_key(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.natural_key_fields)
