"""The device of an encoder: its choice, memory, threads, copies and failures."""
