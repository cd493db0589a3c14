"""The image format qcow2."""
