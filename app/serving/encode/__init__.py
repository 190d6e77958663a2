"""Encode uploads: batching policy, batcher and token file."""
