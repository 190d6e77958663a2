"""The device of an encoder: its choice, clock, failures, memory and threads."""
