"""Serve latencies: the profile of the device, its measurements, and predictions."""
