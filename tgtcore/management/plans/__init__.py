"""Plans: filters that come, change, act and go at set times, as a TOML file describes it."""

from tgtcore.management.plans.keys import PlanKeys, StepKeys
from tgtcore.management.plans.playing import play
from tgtcore.management.plans.rehearsal import Plan, rehearse

__all__ = ["Plan", "PlanKeys", "StepKeys", "play", "rehearse"]
