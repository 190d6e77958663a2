"""Read images within limits, write decided images, and draw pictures of plans."""
