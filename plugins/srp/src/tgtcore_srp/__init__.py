"""The SCSI RDMA Protocol (T10 SRP, revision 16a) for target drivers, whatever fabric they serve, and an initiator."""
