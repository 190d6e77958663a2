"""Measure our own work beside its alternatives, as ratios in one run."""
