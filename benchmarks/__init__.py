"""Measurements, each one command: `python -m benchmarks.cpu`, `python -m benchmarks.scaling`."""
