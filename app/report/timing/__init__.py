"""The timing of each component over the images of a data set, and its file."""
