"""A host's code, fully typed. Nothing runs it: ``tests/test_typed_host.py`` type-checks it."""
