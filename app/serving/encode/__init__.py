"""Encoding uploads: the batching policy, the batcher, and the token file."""
