"""Molmo crop planner: what an image costs a Molmo model, planned, measured and controlled."""

__version__ = "0.1.0"
