"""Measurements as ratios within one run; results as tables in README.md and JSON in results/."""
