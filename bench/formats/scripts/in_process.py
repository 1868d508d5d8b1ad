"""Time a library's own prediction of one row: `in_process.py FORMAT FILE ROW SECONDS`."""

from __future__ import annotations

import json
import sys
import time
from statistics import median

import numpy as np


def predictor(form: str, path: str):
    if form == "sklearn":
        import joblib

        return joblib.load(path).predict_proba
    if form == "xgboost":
        import xgboost

        model = xgboost.XGBClassifier()
        model.load_model(path)
        return model.predict_proba
    import lightgbm

    return lightgbm.Booster(model_file=path).predict


def main(form: str, path: str, row: str, seconds: str) -> None:
    predict, values = predictor(form, path), np.load(row)
    times, end = [], time.perf_counter() + float(seconds)
    while time.perf_counter() < end:
        began = time.perf_counter()
        predict(values)
        times.append((time.perf_counter() - began) * 1000)
    print(json.dumps({"p50_ms": median(times), "calls": len(times)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
