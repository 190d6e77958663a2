"""Plan an image: its tiling, canvas, crops, tokens and overlap."""
