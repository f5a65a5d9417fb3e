"""The admin as other packages dress it: run with --ds tests.themes.<name>."""
