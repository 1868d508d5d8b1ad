"""A registry behind MLflow's REST API.

https://mlflow.org/docs/latest/api_reference/rest-api.html. The artifact proxy is the service
`mlflow-artifacts`, which lists a folder and sends the bytes of a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloche.clients.mlflow.registry import (
    LoggedModel,
    ModelVersion,
    Run,
    finite,
    no_alias,
    no_logged_model,
    no_model,
    no_run,
    no_version,
)
from cloche.clients.mlflow.transport import Transport
from cloche.errors import NotFoundError

if TYPE_CHECKING:
    from cloche.clients.mlflow.address import Address

_PROXY = "/api/2.0/mlflow-artifacts/artifacts"


class RestRegistry:
    """The registry of an MLflow server."""

    def __init__(self, address: Address) -> None:
        self.transport = Transport(address)

    @property
    def where(self) -> str:
        """Return the server's address without credentials."""
        return self.transport.base

    def version(self, name: str, version: str) -> ModelVersion:
        """Return a version by its number."""
        try:
            answer = self._get("model-versions/get", name=name, version=version)
        except NotFoundError:
            versions = self._versions(name)
            raise no_version(name, version, versions, self.where) from None
        return _version(answer["model_version"])

    def version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias names now."""
        try:
            answer = self._get("registered-models/alias", name=name, alias=alias)
        except NotFoundError:
            aliases = [item["alias"] for item in self._model(name).get("aliases", ())]
            raise no_alias(name, alias, sorted(aliases), self.where) from None
        return _version(answer["model_version"])

    def latest_version(self, name: str) -> ModelVersion:
        """Return the version with the highest number."""
        versions = self._versions(name)
        if not versions:
            raise no_version(name, "latest", (), self.where)
        return self.version(name, versions[-1])

    def location(self, version: ModelVersion) -> str:
        """Return the URI of a version's artifacts, as resolved by the server."""
        answer = self._get(
            "model-versions/get-download-uri", name=version.name, version=version.version
        )
        return str(answer["artifact_uri"])

    def logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model."""
        try:
            answer = self._get(f"logged-models/{quote(model_id, safe='')}")
        except NotFoundError:
            raise no_logged_model(model_id, self.where) from None
        info, data = answer["model"]["info"], answer["model"].get("data", {})
        return LoggedModel(
            model_id=model_id,
            name=info.get("name", ""),
            location=info["artifact_uri"],
            run_id=info.get("source_run_id") or None,
            created=int(info.get("creation_timestamp_ms", 0)),
            parameters=_pairs(data.get("params")),
            metrics=_metrics(data.get("metrics")),
            tags=_pairs(info.get("tags")),
        )

    def run(self, run_id: str) -> Run:
        """Return a run."""
        try:
            run = self._get("runs/get", run_id=run_id)["run"]
        except NotFoundError:
            raise no_run(run_id, self.where) from None
        data = run.get("data", {})
        models = run.get("outputs", {}).get("model_outputs", ())
        return Run(
            run_id=run_id,
            location=run["info"].get("artifact_uri", ""),
            parameters=_pairs(data.get("params")),
            metrics=_metrics(data.get("metrics")),
            tags=_pairs(data.get("tags")),
            models=tuple(model["model_id"] for model in models),
            experiment_id=run["info"].get("experiment_id"),
        )

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    # ── artifacts ─────────────────────────────────────────────────────────────────────────────

    def list_artifacts(self, endpoint: str, **parameters: str) -> list[dict[str, Any]]:
        """Return one level of a folder of artifacts, all pages: `path`, `is_dir`, `file_size`.

        `parameters` name the folder; their names differ between endpoints.
        """
        entries: list[dict[str, Any]] = []
        token = ""
        while True:
            pages = {"page_token": token} if token else {}
            answer = self.transport.get(endpoint, **parameters, **pages)
            entries += answer.get("files", ())
            token = answer.get("next_page_token", "")
            if not token:
                return entries

    @staticmethod
    def proxied(path: str = "") -> str:
        """Return the endpoint of the artifact proxy for a file; for listings if `path` is empty."""
        return f"{_PROXY}/{quote(path)}" if path else _PROXY

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _get(self, endpoint: str, **parameters: str) -> dict[str, Any]:
        return self.transport.get(f"/api/2.0/mlflow/{endpoint}", **parameters)

    def _model(self, name: str) -> dict[str, Any]:
        try:
            model: dict[str, Any] = self._get("registered-models/get", name=name)[
                "registered_model"
            ]
        except NotFoundError:
            answer = self._get("registered-models/search", max_results="100")
            names = [item["name"] for item in answer.get("registered_models", ())]
            raise no_model(name, names, self.where) from None
        return model

    def _versions(self, name: str) -> list[str]:
        """Return the numbers of a model's versions in order; raises mlflow.model."""
        self._model(name)
        quoted = name.replace("'", "''")
        answer = self._get("model-versions/search", filter=f"name='{quoted}'", max_results="1000")
        return sorted((item["version"] for item in answer.get("model_versions", ())), key=int)


def _version(item: dict[str, Any]) -> ModelVersion:
    return ModelVersion(
        name=item["name"],
        version=str(item["version"]),
        source=item.get("source", ""),
        location=None,
        run_id=item.get("run_id") or None,
        created=int(item.get("creation_timestamp", 0)),
        status=item.get("status", "READY"),
        tags=_pairs(item.get("tags")),
    )


def _pairs(items: list[dict[str, Any]] | None) -> dict[str, str]:
    return {item["key"]: str(item.get("value", "")) for item in items or ()}


def _metrics(items: list[dict[str, Any]] | None) -> dict[str, float]:
    return finite((item["key"], item.get("value", 0.0)) for item in items or ())
