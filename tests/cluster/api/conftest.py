"""Tests here run against an API server alone."""

import pytest


@pytest.fixture
def namespace(api_namespace: str) -> str:
    """A new namespace of the API server."""
    return api_namespace
