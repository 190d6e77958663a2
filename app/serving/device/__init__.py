"""Own the device: one thread, and the encoder behind it."""
