"""One virtual HBA kept as it is to be, whatever guests, tools and targets do."""
