"""A scikit-learn model in MLflow's registry, as docs/guides/scikit-learn.md shows it."""

import mlflow
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

table, labels = load_wine(return_X_y=True, as_frame=True)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, labels)
mlflow.sklearn.log_model(
    model, name="model", input_example=table.head(3), registered_model_name="wine"
)
