"""Fixtures shared by all tests, one module per part."""

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "fixtures.triton",
    "fixtures.local",
    "fixtures.places",
    "fixtures.mlflow",
    "fixtures.hub",
    "fixtures.odd_registry",
    "fixtures.kaniko",
    "fixtures.registries",
    "fixtures.cluster_state",
    "fixtures.real_clients",
    "fixtures.kubernetes",
    "fixtures.kubernetes_client",
    "fixtures.cluster_users",
    "fixtures.saved_models",
    "fixtures.thorough",
]

# How long one example takes says more about the machine than about the code.
settings.register_profile("cloche", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cloche")
