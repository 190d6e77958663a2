"""Choose the device of an encoder, and handle its clock, failures, memory and threads."""
