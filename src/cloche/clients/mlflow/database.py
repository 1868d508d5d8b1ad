"""A registry in MLflow's own SQLite database, read without MLflow and without locking it.

The tables and columns are those of `mlflow/store/model_registry/dbmodels` and
`mlflow/store/tracking/dbmodels` from MLflow 3.0 on; later versions add columns (workspace) and are
read the same way.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
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
from cloche.errors import ClocheError, UnavailableError

if TYPE_CHECKING:
    from cloche.clients.mlflow.address import Address

_PATIENCE = 10.0
"""Seconds to wait for a writer of the database."""

_VERSION = """
    SELECT name, version, source, storage_location, run_id, creation_time, status
    FROM model_versions WHERE name = ? AND current_stage != 'Deleted_Internal'
"""
_MODEL = """
    SELECT model_id, name, artifact_location, source_run_id, creation_timestamp_ms
    FROM logged_models WHERE model_id = ? AND lifecycle_stage = 'active'
"""
_RUN = """
    SELECT artifact_uri, experiment_id FROM runs
    WHERE run_uuid = ? AND lifecycle_stage = 'active'
"""
_OUTPUTS = """
    SELECT destination_id FROM inputs
    WHERE source_id = ? AND source_type = 'RUN_OUTPUT' AND destination_type = 'MODEL_OUTPUT'
"""
_MODEL_METRICS = """
    SELECT metric_name, metric_value FROM logged_model_metrics
    WHERE model_id = ? AND metric_value IS NOT NULL ORDER BY metric_step, metric_timestamp_ms
"""


class DatabaseRegistry:
    """The registry in an SQLite file."""

    def __init__(self, address: Address) -> None:
        if address.path is None:
            raise ValueError("the address of a database has a path")
        self._path = address.path
        self._workspace = address.workspace or "default"
        self.where = address.uri

    def version(self, name: str, version: str) -> ModelVersion:
        """Return a version by its number."""
        rows = self._ask(_VERSION + " AND version = ?", name, int(version), scoped=True)
        if not rows:
            raise no_version(name, version, self._versions(name), self.where)
        return self._version(rows[0])

    def version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias names now."""
        rows = self._ask(
            "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?",
            name,
            alias,
            scoped=True,
        )
        if not rows:
            self._require_model(name)
            query = "SELECT alias FROM registered_model_aliases WHERE name = ?"
            aliases = sorted(row[0] for row in self._ask(query, name, scoped=True))
            raise no_alias(name, alias, aliases, self.where)
        return self.version(name, str(rows[0][0]))

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
        rows = self._ask(_MODEL, model_id)
        if not rows:
            raise no_logged_model(model_id, self.where)
        _, name, location, run_id, created = rows[0]
        return LoggedModel(
            model_id=model_id,
            name=name,
            location=location,
            run_id=run_id,
            created=created,
            parameters=self._pairs("logged_model_params", "param_key", "model_id", model_id),
            metrics=finite(self._ask(_MODEL_METRICS, model_id)),
            tags=self._pairs("logged_model_tags", "tag_key", "model_id", model_id),
        )

    def run(self, run_id: str) -> Run:
        """Return a run."""
        rows = self._ask(_RUN, run_id)
        if not rows:
            raise no_run(run_id, self.where)
        metrics = "SELECT key, value FROM latest_metrics WHERE run_uuid = ? AND NOT is_nan"
        return Run(
            run_id=run_id,
            location=rows[0][0] or "",
            parameters=self._pairs("params", "key", "run_uuid", run_id),
            metrics=finite(self._ask(metrics, run_id)),
            tags=self._pairs("tags", "key", "run_uuid", run_id),
            models=tuple(row[0] for row in self._ask(_OUTPUTS, run_id)),
            experiment_id=None if rows[0][1] is None else str(rows[0][1]),
        )

    def close(self) -> None:
        """Do nothing: no connection stays open between calls."""

    # ── inside ────────────────────────────────────────────────────────────────────────────────

    def _version(self, row: tuple[Any, ...]) -> ModelVersion:
        name, version, source, location, run_id, created, status = row
        query = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
        return ModelVersion(
            name=name,
            version=str(version),
            source=source or "",
            location=location,
            run_id=run_id or None,
            created=created or 0,
            status=status or "READY",
            tags={key: str(value) for key, value in self._ask(query, name, version, scoped=True)},
        )

    def _versions(self, name: str) -> list[str]:
        self._require_model(name)
        rows = self._ask(_VERSION + " ORDER BY version", name, scoped=False)
        return [str(row[1]) for row in rows]

    def _require_model(self, name: str) -> None:
        rows = self._ask("SELECT name FROM registered_models WHERE 1", scoped=True)
        names = sorted(row[0] for row in rows)
        if name not in names:
            raise no_model(name, names, self.where)

    def _pairs(self, table: str, key: str, column: str, value: str) -> dict[str, str]:
        of_value = "value" if key == "key" else key.replace("_key", "_value")
        query = f"SELECT {key}, {of_value} FROM {table} WHERE {column} = ?"  # noqa: S608
        return {name: str(text) for name, text in self._ask(query, value)}

    def _ask(self, query: str, *values: Any, scoped: bool = False) -> list[tuple[Any, ...]]:
        """Run one query; a `scoped` one reads only the rows of the workspace, if there are any."""
        if not self._path.is_file():
            raise ClocheError(
                "mlflow.uri.missing",
                "There is no MLflow database at this address.",
                where=self.where,
                hint="Check MLFLOW_TRACKING_URI; sqlite:///NAME is relative, sqlite:////PATH is"
                " absolute.",
            )
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE)) as database:
                if scoped and _has_workspaces(database):
                    query, values = query + " AND workspace = ?", (*values, self._workspace)
                return database.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise UnavailableError(
                    "mlflow.locked",
                    f"The MLflow database has been locked for {_PATIENCE:.0f} seconds.",
                    where=self.where,
                    hint="See which process writes to it, and try again.",
                ) from error
            raise self._not_mlflow(error) from error
        except sqlite3.DatabaseError as error:
            raise self._not_mlflow(error) from error

    def _not_mlflow(self, error: sqlite3.Error) -> ClocheError:
        return ClocheError(
            "mlflow.not_mlflow",
            f"This is not a database of MLflow 3 ({error}).",
            where=self.where,
            hint="Check MLFLOW_TRACKING_URI; update an older database with `mlflow db upgrade`.",
        )


def _has_workspaces(database: sqlite3.Connection) -> bool:
    columns = database.execute("SELECT name FROM pragma_table_info('model_versions')").fetchall()
    return ("workspace",) in columns
