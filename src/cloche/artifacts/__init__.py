"""The values that the stages hand to each other, in the order of the pipeline.

    ModelReference → ModelSnapshot → ModelFacts → ModelRepository → Revision → Verification

All are frozen and serialise to JSON with `encode` and back with `decode`. A value that names bytes
carries their digest, written `sha256:<64 hex digits>`. Paths are not part of these values: where
bytes stand on disk is the store's business, so that the same value means the same on any machine.
"""

from cloche.artifacts.encoding import (
    convert,
    decode,
    digest_of,
    digest_of_files,
    encode,
    to_builtins,
)
from cloche.artifacts.model import (
    BatchAxis,
    Certainty,
    FileEntry,
    Finding,
    ModelFacts,
    ModelFormat,
    ModelMetadata,
    ModelSnapshot,
    Severity,
    Signature,
    TensorSpec,
)
from cloche.artifacts.repository import (
    Lock,
    ModelRepository,
    Origin,
    Reason,
)
from cloche.artifacts.revision import (
    Deployment,
    Event,
    Phase,
    Revision,
)
from cloche.artifacts.verification import (
    Golden,
    GoldenKind,
    InferenceBody,
    TensorDifference,
    Verification,
)
from cloche.artifacts.views import model_view

__all__ = [
    "BatchAxis",
    "Certainty",
    "Deployment",
    "Event",
    "FileEntry",
    "Finding",
    "Golden",
    "GoldenKind",
    "InferenceBody",
    "Lock",
    "ModelFacts",
    "ModelFormat",
    "ModelMetadata",
    "ModelRepository",
    "ModelSnapshot",
    "Origin",
    "Phase",
    "Reason",
    "Revision",
    "Severity",
    "Signature",
    "TensorDifference",
    "TensorSpec",
    "Verification",
    "convert",
    "decode",
    "digest_of",
    "digest_of_files",
    "encode",
    "model_view",
    "to_builtins",
]
