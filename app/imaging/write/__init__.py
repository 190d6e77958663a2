"""Writing image files: resized pixels, encoded and verified."""
