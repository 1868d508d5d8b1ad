"""Save estimators as their frameworks and MLflow document it: `save_sklearn.py FOLDER LINES…`."""

from __future__ import annotations

import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import joblib
import lightgbm as lgb
import mlflow
import numpy as np
import onnx
import pandas as pd
import xgboost as xgb
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from sklearn.cluster import DBSCAN
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)
from skops import io as skops

FOLDER, REQUIREMENTS = Path(sys.argv[1]), sys.argv[2:]
RANDOM = np.random.default_rng(0)
ROWS = 300


def people() -> tuple[pd.DataFrame, np.ndarray]:
    """A table of mixed columns with a gap, and labels that are text."""
    table = pd.DataFrame({
        "age": RANDOM.integers(18, 80, ROWS),
        "income (EUR)": RANDOM.normal(5e4, 1e4, ROWS),
        "city": RANDOM.choice(["Paris", "Rome", "Oslo", "Zürich"], ROWS),
        "rooms": RANDOM.integers(1, 5, ROWS),
    })  # fmt: skip
    table.loc[::17, "income (EUR)"] = np.nan
    score = table["income (EUR)"].fillna(5e4) + 100 * table.age + 8000 * (table.city == "Rome")
    return table, np.where(score > 5.5e4, "yes", "no")


def mixed(final: Any, unknown: str = "ignore", *, sparse: bool = False) -> Any:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encoder = OneHotEncoder(handle_unknown=unknown, sparse_output=sparse)
    columns = make_column_transformer(
        (encoder, ["city", "rooms"]), (numbers, ["age", "income (EUR)"])
    )
    return make_pipeline(columns, final)


def tables() -> None:
    table, answer = people()
    finals = {
        "forest": RandomForestClassifier(20, random_state=0),
        "logistic": LogisticRegression(),
        "boosting": GradientBoostingClassifier(n_estimators=20),
        "histogram": HistGradientBoostingClassifier(max_iter=20),
        "lightgbm": lgb.LGBMClassifier(n_estimators=20, verbose=-1),
    }
    for name, final in finals.items():
        joblib.dump(mixed(final).fit(table, answer), FOLDER / f"{name}.joblib")
    strict = mixed(LogisticRegression(), "error").fit(table, answer)
    joblib.dump(strict, FOLDER / "strict.joblib")
    forest = joblib.load(FOLDER / "forest.joblib")
    for compress in ("gzip", "xz"):
        joblib.dump(forest, FOLDER / f"{compress}.model", compress=(compress, 3))
    (FOLDER / "forest.pkl").write_bytes(pickle.dumps(forest))
    skops.dump(forest, FOLDER / "forest.skops")
    (FOLDER / "cut.pkl").write_bytes((FOLDER / "forest.pkl").read_bytes()[:-2000])
    table["zip"] = [f"z{index % 40}" for index in range(ROWS)]
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city", "zip"]))
    sparse = make_pipeline(encoder, xgb.XGBClassifier(n_estimators=10))
    joblib.dump(sparse.fit(table, (answer == "yes").astype(int)), FOLDER / "sparse.joblib")
    flavors(table.drop(columns="zip"), answer, forest)


def flavors(table: pd.DataFrame, answer: np.ndarray, forest: Any) -> None:
    """MLflow's own flavors, with columns and tensors."""
    common = {"pip_requirements": REQUIREMENTS}
    pickled = {**common, "serialization_format": "cloudpickle"}
    save = mlflow.sklearn.save_model
    labels = infer_signature(table, forest.predict(table))
    save(forest, FOLDER / "people", signature=labels, input_example=table.head(2), **pickled)
    scores = infer_signature(table, forest.predict_proba(table))
    save(
        forest, FOLDER / "scores", signature=scores, pyfunc_predict_fn="predict_proba", **pickled
    )  # fmt: skip
    gaps = table.copy()
    gaps.loc[3, "city"] = None
    save(forest, FOLDER / "gaps", signature=infer_signature(gaps, answer), **pickled)
    frame, target = load_iris(as_frame=True, return_X_y=True)
    matrix = frame.to_numpy()
    linear = LogisticRegression(max_iter=500).fit(matrix, target)
    save(linear, FOLDER / "tensor", signature=infer_signature(matrix, target.to_numpy()), **pickled)
    save(linear, FOLDER / "unsigned", **pickled)
    booster = xgb.train({"objective": "binary:logistic"}, xgb.DMatrix(frame, target > 0), 5)
    answers = infer_signature(frame, booster.predict(xgb.DMatrix(frame)))
    mlflow.xgboost.save_model(booster, FOLDER / "booster", signature=answers, **common)
    light = lgb.LGBMClassifier(n_estimators=5, verbose=-1).fit(frame, target)
    mlflow.lightgbm.save_model(light, FOLDER / "light", input_example=frame.head(2), **common)


def matrices() -> None:
    matrix, target = load_iris(return_X_y=True)
    early = xgb.XGBClassifier(n_estimators=60, early_stopping_rounds=2)
    early.fit(matrix[::2], target[::2], eval_set=[(matrix[1::2], target[1::2])], verbose=False)
    for suffix in ("json", "ubj"):
        early.save_model(FOLDER / f"early.{suffix}")
    (FOLDER / "early.pkl").write_bytes(pickle.dumps(early))
    light = lgb.LGBMClassifier(n_estimators=8, verbose=-1).fit(matrix, target)
    light.booster_.save_model(FOLDER / "light.txt")
    (FOLDER / "cut.txt").write_bytes((FOLDER / "light.txt").read_bytes()[:400])
    target_of_two = np.c_[matrix[:, 0], matrix[:, 1] * 2]
    joblib.dump(RandomForestRegressor(8).fit(matrix, target_of_two), FOLDER / "two.joblib")
    joblib.dump(
        make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(matrix, target),
        FOLDER / "logarithm.joblib",
    )
    parameters = struct.pack("<fIiII", 0.5, 4, 0, 0, 0) + bytes(116)
    names = b"".join(struct.pack("<Q", len(each)) + each for each in (b"reg:linear", b"gbtree"))
    (FOLDER / "old.model").write_bytes(parameters + names + bytes(64))


def made_of_others() -> None:
    """Estimators that hold others, and what holds none that answers."""
    matrix, target = load_iris(return_X_y=True)
    forest, linear = RandomForestClassifier(5, random_state=0), LogisticRegression(max_iter=500)
    voters = [("forest", forest), ("linear", linear)]
    saved = {
        "linear": LogisticRegression(max_iter=500).fit(matrix, target),
        "search": GridSearchCV(forest, {"max_depth": [2, 4]}, cv=2).fit(matrix, target),
        "vote": VotingClassifier(voters, voting="soft").fit(matrix, target),
        "rows": DBSCAN().fit(matrix),
        "unfitted": RandomForestClassifier(),
        "steps": {"scaler": StandardScaler().fit(matrix), "model": linear.fit(matrix, target)},
    }
    table, answer = people()
    table = table.astype({"city": "category"})
    saved["pandas"] = HistGradientBoostingClassifier(max_iter=5).fit(table, answer)
    for name, each in saved.items():
        joblib.dump(each, FOLDER / f"{name}.joblib")


def scalers() -> None:
    """Scalers before trees, whose thresholds show each step of rounding."""
    matrix = (RANDOM.normal(size=(2000, 4)) * [1, 30, 0.01, 5] + [0, 100, 0, -3]).astype("f4")
    target = (matrix[:, 0] * matrix[:, 1] > 0).astype(int) + (matrix[:, 3] > 0)
    for scaler in (StandardScaler(), RobustScaler(), MaxAbsScaler(), MinMaxScaler(clip=True)):
        made = make_pipeline(scaler, RandomForestClassifier(10, random_state=0))
        joblib.dump(made.fit(matrix, target), FOLDER / f"{type(scaler).__name__}.joblib")


def categories() -> None:
    table, answer = people()
    table = table[["age", "city"]].assign(city=table.city.astype("category"))
    known = lgb.LGBMClassifier(n_estimators=5, verbose=-1).fit(table, answer)
    joblib.dump(known, FOLDER / "categories.joblib")


def texts() -> None:
    words = ["good", "bad", "film", "great", "poor", "plot", "été", "straße"]
    told = [" ".join(RANDOM.choice(words, 6)) for _ in range(200)]
    answer = ["pos" if each.count("good") > each.count("bad") else "neg" for each in told]
    accents = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(told, answer)
    joblib.dump(accents, FOLDER / "accents.joblib")
    plain = [each.replace("été", "summer").replace("straße", "street") for each in told]
    ascii_ = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(plain, answer)
    joblib.dump(ascii_, FOLDER / "ascii.joblib")


class Longest(mlflow.pyfunc.PythonModel):
    """A function of a table, of nothing but Python."""

    def predict(self, context: Any, model_input: pd.DataFrame) -> pd.DataFrame:
        return model_input.max(axis=1).to_frame("longest")


def functions() -> None:
    """The same rows for a Python function, and for a classifier that was exported to ONNX."""
    frame, target = load_iris(as_frame=True, return_X_y=True)
    common = {"pip_requirements": REQUIREMENTS}
    rows = {"input_example": frame.head(2)}
    mlflow.pyfunc.save_model(FOLDER / "function", python_model=Longest(), **rows, **common)
    matrix = frame.to_numpy(np.float32)
    linear = LogisticRegression(max_iter=500).fit(matrix, target)
    exported = to_onnx(linear, matrix[:1], options={"zipmap": False})
    onnx.save(exported, FOLDER / "iris.onnx")
    mlflow.onnx.save_model(exported, FOLDER / "exported", **common)


def passengers() -> None:
    """Columns of text with gaps that are filled in, and what the model says of such rows."""
    random = np.random.default_rng(8)
    table = pd.DataFrame({
        "age": random.integers(18, 90, 300).astype(float),
        "port": random.choice(["S", "C", "Q"], 300, p=[0.6, 0.2, 0.2]),
        "deck": random.choice(["A", "B", ""], 300),
    }).astype({"port": object, "deck": object})  # fmt: skip
    answer = np.where((table.age > 50) ^ (table.port == "S") ^ (table.deck == "A"), "yes", "no")
    table.loc[::9, "port"], table.loc[::7, "age"] = np.nan, np.nan
    filled = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["age"]), (filled, ["port"]),
        (OneHotEncoder(handle_unknown="ignore"), ["deck"]),
    )  # fmt: skip
    model = make_pipeline(columns, LogisticRegression()).fit(table, answer)
    joblib.dump(model, FOLDER / "passengers.joblib")
    rows = table.head(20)
    given = {name: rows[name].fillna("").to_numpy() for name in ("port", "deck")}
    np.savez(
        FOLDER / "passengers.npz", age=rows.age.to_numpy(), answer=model.predict_proba(rows),
        **{name: each.astype(str) for name, each in given.items()},
    )  # fmt: skip


class Mine(LogisticRegression):
    """An estimator of a script."""


def main() -> None:
    tables()
    matrices()
    made_of_others()
    scalers()
    categories()
    texts()
    functions()
    passengers()
    joblib.dump({"model": 1, "scores": np.zeros(3)}, FOLDER / "dictionary.joblib")
    held = {"model": LogisticRegression(), "epoch": 3}
    joblib.dump(held, FOLDER / "held.joblib")
    joblib.dump(Mine().fit([[0.0], [1.0]], [0, 1]), FOLDER / "main.joblib")
    (FOLDER / "done.json").write_text("[]")


if __name__ == "__main__":
    main()
