"""Latency in the service: the device profile, its measurements, and predictions."""
