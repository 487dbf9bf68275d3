"""Vectors: toy data, and tables whose columns are modelled, conditioned on, or left out."""
