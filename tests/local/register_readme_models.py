"""Register what the README deploys besides digits: run in the environment of MLflow.

python register_readme_models.py TRACKING_URI FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if __name__ == "__main__":
    mlflow.set_tracking_uri(sys.argv[1])
    folder = Path(sys.argv[2])
    table, labels = load_wine(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, labels)
    mlflow.sklearn.log_model(
        model,
        name="model",
        input_example=table.head(3),
        registered_model_name="wine",
        pip_requirements=["mlflow", "scikit-learn", "pandas", "numpy"],
    )
    table.head(2).to_csv(folder / "wine.csv", index=False)
    pixels = np.load(folder / "held_out.npz")["pixels"][:2]
    (folder / "digits.json").write_text(json.dumps({"pixels": pixels.tolist()}))
