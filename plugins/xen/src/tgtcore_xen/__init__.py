"""Virtual SCSI of Xen: a back end in user space for unmodified guests."""
