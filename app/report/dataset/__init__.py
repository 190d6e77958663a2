"""Find the images of a data set, and select few of them."""
