"""IBM pSeries virtual SCSI server (PAPR command/response queues with SRP), a transport of tgtcore."""
