"""Running a model in its own framework, one file each; `reference.py` is the contract."""

from cloche.verification.reference.finding import direct_model
from cloche.verification.reference.reference import Interpreters, Reference

__all__ = ["Interpreters", "Reference", "direct_model"]
