"""Classified faces -> people, stress and windows. No I/O and no clock: the same frames give the same rows."""

from aggregator.aggregate import Aggregator, Gap

__all__ = ["Aggregator", "Gap"]
