"""Time the components of passes over images, and write the timing file."""
