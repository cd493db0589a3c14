"""SRP information units on the ring of a virtual HBA; docs/reference/xen-srp.md has the layout."""
