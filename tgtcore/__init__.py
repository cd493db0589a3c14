"""A SCSI target framework: the front door."""
