"""The thread that owns the device, and the encoder on it."""
