"""The real other side of the wire. Run on its own: ``pytest tests/interop``."""
