"""One virtual HBA at work: the ring of a guest on one side, an I_T nexus on the other."""
