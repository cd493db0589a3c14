"""The SBC disk, a device type plugin of tgtcore."""
