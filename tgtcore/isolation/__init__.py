"""Drivers in processes of their own: the same transport class behind the ring, supervised by the daemon."""
