"""Doors that need a package which not every project has."""
