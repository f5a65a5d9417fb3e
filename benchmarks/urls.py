"""For a server: the view of each candidate, by its slug."""

from __future__ import annotations

from django.urls import path

from benchmarks.candidates import candidates

urlpatterns = [path(one.slug, one.view()) for one in candidates(0)]
