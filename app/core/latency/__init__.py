"""Latency: measured timings, the profile made of them, and predictions from a profile."""
