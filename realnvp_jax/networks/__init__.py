"""Conditioners: networks that parametrize bijections."""
