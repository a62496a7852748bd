"""Intervals by resampling images; see `results.intervals`."""

from xabl.results.intervals import CONFIDENCE as CONFIDENCE
from xabl.results.intervals import RESAMPLES as RESAMPLES
from xabl.results.intervals import Draws as Draws
from xabl.results.intervals import ImageBootstrap as ImageBootstrap
from xabl.results.intervals import paired as paired
