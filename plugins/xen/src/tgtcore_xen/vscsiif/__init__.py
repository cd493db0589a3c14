"""The protocol of Xen's virtual SCSI (vscsiif; ``xen/include/public/io/vscsiif.h`` and ``ring.h`` of Xen), without any I/O.

A front end is a guest: what it has written is copied first, then checked.  :class:`~tgtcore_xen.vscsiif.errors.Malformed` is raised
for a request that can't be, :class:`~tgtcore_xen.vscsiif.errors.RingBroken` for indexes that can't be, and nothing else whatever it
writes.  Reserved fields are ignored.
"""
