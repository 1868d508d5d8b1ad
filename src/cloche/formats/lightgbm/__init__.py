"""Boosters in LightGBM's own format: text."""

from cloche.formats.lightgbm.format import LightgbmFormat

__all__ = ["LightgbmFormat"]
