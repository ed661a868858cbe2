"""Classified faces -> people, stress and windows. No I/O and no clock: the same frames give the same rows."""

from aggregator.aggregate import Aggregator

__all__ = ["Aggregator"]
