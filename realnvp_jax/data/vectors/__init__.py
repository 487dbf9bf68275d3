"""Rows of real numbers: toy data and tables, with the columns that are conditioned on set apart."""
