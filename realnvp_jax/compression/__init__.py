"""Lossless compression by a flow's own likelihood: see `compress.py`, and docs/compression.md."""
