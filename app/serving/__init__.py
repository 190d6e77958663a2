"""Serve requests: admission, the owner of the device, encoding and latencies."""
