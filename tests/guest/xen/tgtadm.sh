#!/bin/sh
exec awake tgtcore.cli.tgtadm main "$@"
