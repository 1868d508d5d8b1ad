"""Write the samples that need libraries the tests do not have, into a folder beside this file.

    python tests/pickles/make_samples.py scikit-learn sklearn-1.9

It was run with scikit-learn 1.9.1 (joblib 1.6.0, XGBoost 3.4.1, LightGBM 4.7.0, Python 3.12) and
1.5.2 (NumPy 1.26.4, Python 3.11) for `scikit-learn`, and with torch 2.15.0 for `torch`. The samples
with `evil` in their name import `os.system`, and would run `true`.
"""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any


class Evil:
    """Loads as the result of a command."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("true",)


def scikit_learn(folder: Path) -> None:
    """Write a pipeline in every way that people save one, and boosters."""
    import cloudpickle
    import joblib
    import numpy as np
    import pandas as pd
    from lightgbm import LGBMRegressor
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from xgboost import XGBRegressor

    data = pd.DataFrame({"a": np.arange(40.0), "b": list("xyzw") * 10})
    columns = make_column_transformer((StandardScaler(), ["a"]), (OneHotEncoder(), ["b"]))
    model = make_pipeline(columns, LogisticRegression()).fit(data, [0, 1] * 20)
    for protocol in (2, 4, 5):
        (folder / f"pipeline-{protocol}.pkl").write_bytes(pickle.dumps(model, protocol))
    joblib.dump(model, folder / "pipeline.joblib")
    joblib.dump(model, folder / "pipeline-2.joblib", protocol=2)
    for kind in ("zlib", "gzip", "bz2", "xz", "lzma"):
        joblib.dump(model, folder / f"pipeline.{kind}.joblib", compress=(kind, 3))
    table = np.zeros(2, dtype=[("x", "f8"), ("y", "i4", (3,)), ("z", "U5")])
    arrays = [np.arange(6).reshape(2, 3), np.asfortranarray(np.ones((2, 3))), np.array(1.5), table]
    arrays += [np.array(["a", None], dtype=object), np.zeros((0, 3)), np.array(["é"])]
    arrays += [np.array(["2026-01-31"], dtype="M8[D]")]
    joblib.dump(arrays, folder / "arrays.joblib")
    joblib.dump([*arrays, Evil()], folder / "evil.joblib")
    joblib.dump(np.array([Evil(), 1], dtype=object), folder / "evil-object.joblib")
    (folder / "frame.pkl").write_bytes(pickle.dumps(data))
    for booster in (XGBRegressor, LGBMRegressor):
        fitted = booster(n_estimators=1, max_depth=1).fit(data[["a"]].to_numpy(), np.arange(40))
        (folder / f"{booster.__name__}.pkl").write_bytes(pickle.dumps(fitted))
    # Of a module of its own: cloudpickle writes down where the file of a function is.
    function = eval("lambda x: len(str(x))", {})
    (folder / "function.pkl").write_bytes(cloudpickle.dumps(function))


def torch(folder: Path) -> None:
    """Write a small model in every way that torch saves one."""
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    state = model.state_dict()
    torch.save(state, folder / "state.pt")
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(model, folder / "module.pt")
    torch.save(torch.nn.DataParallel(model).state_dict(), folder / "parallel.pt")
    checkpoint = {"epoch": 1, "model_state_dict": state, "optimizer_state_dict": {"state": {}}}
    torch.save(checkpoint, folder / "checkpoint.pt")
    torch.jit.trace(model.eval(), torch.ones(1, 2)).save(folder / "script.pt")
    leave_out_debugging(folder / "script.pt")
    torch.save([torch.ones(2), Evil()], folder / "evil.pt")
    torch.save([torch.ones(2), Evil()], folder / "evil-legacy.pt",
               _use_new_zipfile_serialization=False)  # fmt: skip


def leave_out_debugging(path: Path) -> None:
    """Write an archive anew without the members that hold the paths of files here."""
    with zipfile.ZipFile(path) as archive:
        members = [(member, archive.read(member)) for member in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members:
            if not member.filename.endswith(".debug_pkl"):
                archive.writestr(member.filename, data)


if __name__ == "__main__":
    target = Path(__file__).parent / "samples" / sys.argv[2]
    target.mkdir(parents=True, exist_ok=True)
    {"scikit-learn": scikit_learn, "torch": torch}[sys.argv[1]](target)
