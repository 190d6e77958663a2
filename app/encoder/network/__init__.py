"""Define the network, load its weights, and prepare its input by a plan."""
