"""State, journal and the right to act on a cluster, which every machine with access sees alike."""

from cloche.state.kubernetes.documents import Documents
from cloche.state.kubernetes.identity import who
from cloche.state.kubernetes.journal import KubernetesJournal
from cloche.state.kubernetes.lease import Lease
from cloche.state.kubernetes.recovery import rebuild, sweep
from cloche.state.kubernetes.registry_documents import RegistryDocuments
from cloche.state.kubernetes.state import KubernetesState

__all__ = [
    "Documents",
    "KubernetesJournal",
    "KubernetesState",
    "Lease",
    "RegistryDocuments",
    "rebuild",
    "sweep",
    "who",
]
