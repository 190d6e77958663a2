"""The images of a data set: where they are, their sizes, and the selected ones."""
