"""Measurements of our own work, each beside what a user would use instead, as ratios in one run."""
