"""The handshake between the two ends of a virtual HBA in the nodes of the xenstore, without I/O."""
