"""Vectors: toy data and tables, whose columns are modelled, or conditioned on, or left out."""
