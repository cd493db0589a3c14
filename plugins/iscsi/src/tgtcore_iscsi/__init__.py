"""iSCSI over TCP (RFC 7143), a transport plugin of tgtcore."""
