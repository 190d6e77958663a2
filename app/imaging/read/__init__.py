"""Read the facts and the pixels of image files, within limits."""
