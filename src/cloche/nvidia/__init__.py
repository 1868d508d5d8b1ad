"""What NVIDIA's software asks of a machine: drivers, versions of CUDA, generations of GPUs.

All of it is read from NVIDIA's own pages and repositories, which each table names. What they do not
say is unknown, and unknown is never a refusal.
"""

from cloche.nvidia.compatibility import Judgement, Software, Verdict, judge
from cloche.nvidia.releases import RELEASES, Release, known
from cloche.nvidia.versions import Capability, Cuda, Driver

__all__ = [
    "RELEASES",
    "Capability",
    "Cuda",
    "Driver",
    "Judgement",
    "Release",
    "Software",
    "Verdict",
    "judge",
    "known",
]
