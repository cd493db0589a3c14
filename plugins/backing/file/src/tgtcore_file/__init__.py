"""Image files, block devices, memory and null stores, a plugin of tgtcore."""
