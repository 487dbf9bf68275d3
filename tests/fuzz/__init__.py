"""Trials with random inputs, too long for the tests: `python -m tests.fuzz.NAME --seed 0 --count N`."""
