"""The network: backbone, weights, and the input that a plan gives it."""
