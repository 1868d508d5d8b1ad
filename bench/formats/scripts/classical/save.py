"""Train models and save them as their libraries do: `save.py FOLDER REQUIREMENTS…`.

Beside a model is a request of it, its inputs by name; the requirements are those of the model that
MLflow saves.
"""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import lightgbm
import mlflow
import numpy as np
import pandas as pd
import xgboost
from mlflow.models import infer_signature
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

COLUMNS = 12
"""How many columns the table of MLflow's model has."""


def main(folder: Path, requirements: list[str]) -> None:
    rows, labels = make_classification(5000, 30, n_informative=12, n_classes=3, random_state=7)
    rows = rows.astype(np.float32)
    forest = RandomForestClassifier(100, max_depth=10, random_state=7)
    joblib.dump(make_pipeline(StandardScaler(), forest).fit(rows, labels), folder / "model.joblib")
    boosted = xgboost.XGBClassifier(n_estimators=100, max_depth=6).fit(rows, labels)
    boosted.save_model(folder / "model.json")
    light = lightgbm.LGBMClassifier(n_estimators=100, verbose=-1).fit(rows, labels)
    light.booster_.save_model(folder / "model.txt")
    for name in ("sklearn", "xgboost", "lightgbm"):
        np.savez(folder / f"{name}.npz", input=rows[:1])
    table = pd.DataFrame({f"column_{n}": rows[:, n] for n in range(COLUMNS)})
    logged = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, labels)
    mlflow.sklearn.save_model(
        logged, folder / "logged", pip_requirements=requirements,
        signature=infer_signature(table, logged.predict(table)),
    )  # fmt: skip
    np.savez(folder / "mlflow.npz", **{name: table[[name]][:1].to_numpy() for name in table})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
