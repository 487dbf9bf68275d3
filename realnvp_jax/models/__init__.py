"""Flows: densities and samplers."""
