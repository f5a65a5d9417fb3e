"""Integrations with packages that not every project has."""
