"""Train models and save them as their libraries do: `save.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import lightgbm
import numpy as np
import xgboost
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(folder: Path) -> None:
    rows, labels = make_classification(5000, 30, n_informative=12, n_classes=3, random_state=7)
    rows = rows.astype(np.float32)
    forest = RandomForestClassifier(100, max_depth=10, random_state=7)
    joblib.dump(make_pipeline(StandardScaler(), forest).fit(rows, labels), folder / "model.joblib")
    boosted = xgboost.XGBClassifier(n_estimators=100, max_depth=6).fit(rows, labels)
    boosted.save_model(folder / "model.json")
    light = lightgbm.LGBMClassifier(n_estimators=100, verbose=-1).fit(rows, labels)
    light.booster_.save_model(folder / "model.txt")
    np.save(folder / "row.npy", rows[:1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
