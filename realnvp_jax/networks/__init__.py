"""Conditioners: networks that parametrise bijections."""
