"""iSCSI protocol data units (RFC 7143 clause 11): numbers, header layouts, additional headers, descriptions."""
