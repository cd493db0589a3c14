"""Two back ends of Xen's virtual SCSI in the same domain 0, ours and that of the kernel."""
