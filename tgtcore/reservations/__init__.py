"""Reservations of a logical unit: who keeps others from it."""

from tgtcore.reservations.classes import ReservationClass
from tgtcore.reservations.holder import NexusIdentity, Reservations

__all__ = ["NexusIdentity", "ReservationClass", "Reservations"]
