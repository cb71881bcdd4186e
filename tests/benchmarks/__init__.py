"""How fast the extension is, as ratios to what the same work costs without it: ``python -m tests.benchmarks``."""
