"""Copy-on-write images with snapshots (qcow2), a plugin of tgtcore and a library."""
