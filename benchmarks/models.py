"""What django-tenant-apikeys wants of a host: a model of its keys."""

from __future__ import annotations

from django.db import models
from django_tenant_apikeys.models import AbstractTenantAPIKey


class TenantKey(AbstractTenantAPIKey):
    """A key of a tenant, of which only the number is read: a row would cost a second SELECT."""

    tenant = models.BigIntegerField()
