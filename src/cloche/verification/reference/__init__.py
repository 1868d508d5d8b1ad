"""How a model's own framework answers, one file each; `reference.py` is the contract."""

from cloche.verification.reference.reference import Interpreters, Reference

__all__ = ["Interpreters", "Reference"]
