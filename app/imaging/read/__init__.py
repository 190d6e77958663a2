"""Reading image files: facts from the header, and pixels, within limits."""
