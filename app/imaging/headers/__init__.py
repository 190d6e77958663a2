"""Headers of JPEG and PNG read without Pillow, for files with nothing unusual about them.

Both parsers answer as full decoding would, or give up: what Pillow treats in a way of its own (odd
EXIF, several frames, damage, a missing end) is left to Pillow. So they need not know everything,
and they are small and bounded in what they do for a stranger's file.
"""
