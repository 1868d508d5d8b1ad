"""The values that the stages hand to each other, in the order of the pipeline.

    ModelReference → ModelSnapshot → ModelFacts → ModelRepository → Revision → Rollout

All are frozen; `encode` writes them as JSON and `decode` reads them back. A value that refers to
bytes holds their digest, written `sha256:<64 hex digits>`. Values hold no paths: the store knows
where the bytes are, so a value means the same on every machine.
"""

from cloche.artifacts.container import ContainerStart, ImageFile, ServerBase, ServerPart
from cloche.artifacts.conversion import Conversion, OwnRun, Parity
from cloche.artifacts.datatypes import DATATYPES, Datatype
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
    Loading,
    ModelFacts,
    ModelFormat,
    ModelMetadata,
    ModelSnapshot,
    Severity,
    Signature,
    TensorSpec,
    ValueRange,
)
from cloche.artifacts.plan import (
    Change,
    ChangeKind,
    Consent,
    DeployAnswer,
    DeployPlan,
    PlannedEnvironment,
    Question,
)
from cloche.artifacts.repository import (
    ENVIRONMENT_PARAMETER,
    Lock,
    ModelRepository,
    Origin,
    Reason,
    RepositoryMember,
)
from cloche.artifacts.revision import (
    Attached,
    Deployment,
    Member,
    Revision,
)
from cloche.artifacts.rollout import (
    Cause,
    Event,
    EventKind,
    Outcome,
    Phase,
    RevisionStatus,
    Rollout,
    ServiceRecord,
    Standing,
)
from cloche.artifacts.service import (
    Batching,
    DeclaredInput,
    ModelOptions,
    Operated,
    ReplicaRange,
    Resources,
    Served,
    ServerOptions,
    asked_for,
)
from cloche.artifacts.verification import (
    Golden,
    InferenceBody,
    Judge,
    RequestOrigin,
    TensorDifference,
    Verification,
)
from cloche.artifacts.views import conversion_view, deploy_view, model_view

__all__ = [
    "DATATYPES",
    "ENVIRONMENT_PARAMETER",
    "Attached",
    "BatchAxis",
    "Batching",
    "Cause",
    "Certainty",
    "Change",
    "ChangeKind",
    "Consent",
    "ContainerStart",
    "Conversion",
    "Datatype",
    "DeclaredInput",
    "DeployAnswer",
    "DeployPlan",
    "Deployment",
    "Event",
    "EventKind",
    "FileEntry",
    "Finding",
    "Golden",
    "ImageFile",
    "InferenceBody",
    "Judge",
    "Loading",
    "Lock",
    "Member",
    "ModelFacts",
    "ModelFormat",
    "ModelMetadata",
    "ModelOptions",
    "ModelRepository",
    "ModelSnapshot",
    "Operated",
    "Origin",
    "Outcome",
    "OwnRun",
    "Parity",
    "Phase",
    "PlannedEnvironment",
    "Question",
    "Reason",
    "ReplicaRange",
    "RepositoryMember",
    "RequestOrigin",
    "Resources",
    "Revision",
    "RevisionStatus",
    "Rollout",
    "Served",
    "ServerBase",
    "ServerOptions",
    "ServerPart",
    "ServiceRecord",
    "Severity",
    "Signature",
    "Standing",
    "TensorDifference",
    "TensorSpec",
    "ValueRange",
    "Verification",
    "asked_for",
    "conversion_view",
    "convert",
    "decode",
    "deploy_view",
    "digest_of",
    "digest_of_files",
    "encode",
    "model_view",
    "to_builtins",
]
