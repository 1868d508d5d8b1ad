"""A registry in a folder: MLflow's file store (`mlruns`), one YAML file per record.

The layout is that of `mlflow/store/tracking/file_store.py` and
`mlflow/store/model_registry/file_store.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from cloche.errors import ClocheError

if TYPE_CHECKING:
    from pathlib import Path

    from cloche.clients.mlflow.address import Address


class FolderRegistry:
    """The registry in a folder of files."""

    def __init__(self, address: Address) -> None:
        if address.path is None:
            raise ValueError("the address of a folder has a path")
        self._root = address.path
        self.where = address.uri

    def version(self, name: str, version: str) -> ModelVersion:
        """Return a version by its number."""
        folder = self._model(name) / f"version-{int(version)}"
        if not (folder / "meta.yaml").is_file():
            raise no_version(name, version, self._versions(name), self.where)
        record = _read(folder / "meta.yaml")
        return ModelVersion(
            name=name,
            version=str(int(version)),
            source=str(record.get("source") or ""),
            location=record.get("storage_location"),
            run_id=record.get("run_id") or None,
            created=int(record.get("creation_timestamp") or 0),
            status=str(record.get("status") or "READY"),
            tags=_texts(folder / "tags"),
        )

    def version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias names now."""
        aliases = _texts(self._model(name) / "aliases")
        if alias not in aliases:
            raise no_alias(name, alias, sorted(aliases), self.where)
        return self.version(name, aliases[alias].strip())

    def latest_version(self, name: str) -> ModelVersion:
        """Return the version with the highest number."""
        versions = self._versions(name)
        if not versions:
            raise no_version(name, "latest", (), self.where)
        return self.version(name, versions[-1])

    def location(self, version: ModelVersion) -> str:
        """Return the URI of a version's artifacts."""
        return version.location or version.source

    def logged_model(self, model_id: str) -> LoggedModel:
        """Return a logged model."""
        folder = self._find(f"models/{model_id}")
        if folder is None:
            raise no_logged_model(model_id, self.where)
        record = _read(folder / "meta.yaml")
        return LoggedModel(
            model_id=model_id,
            name=str(record.get("name") or ""),
            location=str(record["artifact_location"]),
            run_id=record.get("source_run_id") or None,
            created=int(record.get("creation_timestamp") or 0),
            parameters=_texts(folder / "params"),
            metrics=_metrics(folder / "metrics"),
            tags=_texts(folder / "tags"),
        )

    def run(self, run_id: str) -> Run:
        """Return a run."""
        folder = self._find(run_id)
        if folder is None:
            raise no_run(run_id, self.where)
        outputs, record = folder / "outputs", _read(folder / "meta.yaml")
        return Run(
            run_id=run_id,
            location=str(record.get("artifact_uri") or ""),
            parameters=_texts(folder / "params"),
            metrics=_metrics(folder / "metrics"),
            tags=_texts(folder / "tags"),
            models=tuple(sorted(path.name for path in outputs.iterdir()))
            if outputs.is_dir()
            else (),
            experiment_id=str(record["experiment_id"]) if "experiment_id" in record else None,
        )

    def close(self) -> None:
        """Do nothing: no file stays open between calls."""

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _model(self, name: str) -> Path:
        self._require_store()
        folder = self._root / "models" / name
        if not (folder / "meta.yaml").is_file():
            registered = (self._root / "models").glob("*/meta.yaml")
            raise no_model(name, sorted(path.parent.name for path in registered), self.where)
        return folder

    def _versions(self, name: str) -> list[str]:
        records = self._model(name).glob("version-*/meta.yaml")
        return sorted((path.parent.name.removeprefix("version-") for path in records), key=int)

    def _find(self, name: str) -> Path | None:
        """Return the folder of a run or logged model in any experiment, None if absent."""
        self._require_store()
        for experiment in sorted(self._root.iterdir()):
            if (experiment / name / "meta.yaml").is_file():
                return experiment / name
        return None

    def _require_store(self) -> None:
        if not self._root.is_dir():
            raise ClocheError(
                "mlflow.uri.missing",
                "There is no MLflow store at this address.",
                where=self.where,
                hint="Check MLFLOW_TRACKING_URI: http://HOST:PORT, sqlite:////PATH or a folder.",
            )


def _read(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        record = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError):
        record = None
    if not isinstance(record, dict):
        raise ClocheError(
            "mlflow.not_mlflow",
            "A record of the MLflow store cannot be read.",
            where=str(path),
            hint="Check that the folder was written by MLflow.",
        )
    return record


def _texts(folder: Path) -> dict[str, str]:
    """Return parameters, tags or aliases by name; a name with a slash is a path of subfolders."""
    if not folder.is_dir():
        return {}
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _metrics(folder: Path) -> dict[str, float]:
    """Return the last value of each metric: a line is `timestamp value step …`."""
    last = []
    for name, text in _texts(folder).items():
        points = [[*line.split(), "0"][:3] for line in text.splitlines() if " " in line]
        if points:
            newest = max(points, key=lambda point: (int(point[2]), int(point[0])))
            last.append((name, newest[1]))
    return finite(last)
