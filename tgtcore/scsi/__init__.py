"""SCSI vocabulary: numbers, layouts and tables of the standards, pure functions without I/O or policy."""
