"""Plan, measure and control the cost of an image for a Molmo model."""

__version__ = "0.1.0"
