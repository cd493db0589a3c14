"""Reservations of a logical unit: who keeps others from it."""

from tgtcore.reservations.classes import ReservationClass
from tgtcore.reservations.request import Outcome, Request
from tgtcore.reservations.reservations import Reservations
from tgtcore.reservations.state import NexusIdentity, Reservation, State

__all__ = ["NexusIdentity", "Outcome", "Request", "Reservation", "ReservationClass", "Reservations", "State"]
