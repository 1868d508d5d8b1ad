"""Time a library's own prediction: `in_process.py NAME MODEL REQUEST SECONDS CALLERS…`.

Prints, for each number of callers at once, the median of a call in ms and the calls per second.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np


def sklearn(path, inputs):
    import joblib

    predict = joblib.load(path).predict_proba
    return lambda: predict(inputs["input"])


def xgboost(path, inputs):
    from xgboost import XGBClassifier

    model = XGBClassifier()
    model.load_model(path)
    return lambda: model.predict_proba(inputs["input"])


def lightgbm(path, inputs):
    from lightgbm import Booster

    predict = Booster(model_file=path).predict
    return lambda: predict(inputs["input"])


def mlflow(path, inputs):
    import pandas as pd
    from mlflow.pyfunc import load_model

    model = load_model(path)
    table = pd.DataFrame({name: values[:, 0] for name, values in inputs.items()})
    return lambda: model.predict(table)


def pytorch(path, inputs):
    import torch

    return _of_torch(torch.load(path, weights_only=False).eval(), inputs)


def huggingface(path, inputs):
    from transformers import AutoModelForSequenceClassification

    return _of_torch(AutoModelForSequenceClassification.from_pretrained(path).eval(), inputs)


def tokenizer(path, inputs):
    """The first step of a pipeline of transformers: from the text of a request to its ids."""
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(path)
    text = words.decode(inputs["input_ids"][0], skip_special_tokens=True)
    return lambda: words(text, return_tensors="pt")


def _of_torch(model, inputs):
    import torch

    tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}

    @torch.inference_mode()
    def predict():
        return model(**tensors)

    return predict


def _calls(predict, end: float) -> list[float]:
    """Call until a time; return the ms of each call."""
    times: list[float] = []
    while (began := time.perf_counter()) < end:
        predict()
        times.append((time.perf_counter() - began) * 1000)
    return times


def main(name: str, path: str, request: str, seconds: str, *callers: str) -> None:
    predict = globals()[name](path, dict(np.load(request)))
    predict()
    figures = {}
    for count in map(int, callers):
        with ThreadPoolExecutor(count) as pool:
            began = time.perf_counter()
            ends = [began + float(seconds)] * count
            times = [each for own in pool.map(_calls, [predict] * count, ends) for each in own]
            rate = len(times) / (time.perf_counter() - began)
        figures[str(count)] = {"p50_ms": median(times), "rate": rate}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
