"""Saves models whose tables and answers are as people have them; runs with MLflow: `FOLDER`."""

import sys
import uuid
import warnings
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pydantic
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema
from mlflow.types.llm import ChatChoice, ChatCompletionResponse, ChatMessage
from mlflow.types.responses import ResponsesAgentResponse
from sklearn.linear_model import LinearRegression


class Gaps(mlflow.pyfunc.PythonModel):
    """Counts what is missing, and misses something itself."""

    def predict(self, context, model_input, params=None):
        city = model_input["city"]
        return pd.DataFrame({
            "known": city.notna(),
            "upper": [None if pd.isna(one) else one.upper() for one in city],
            "size": pd.array([None if pd.isna(one) else len(one) for one in city], "Int64"),
        })  # fmt: skip


class Nested(mlflow.pyfunc.PythonModel):
    """Takes and gives structures, by its type hints."""

    def predict(
        self, context, model_input: list[dict[str, list[float]]], params=None
    ) -> list[dict[str, list[float]]]:
        return [{"doubled": [2 * value for value in one["values"]]} for one in model_input]


class Power(mlflow.pyfunc.PythonModel):
    """Has inference parameters, one of them a list."""

    def predict(self, context, model_input, params=None):
        weights = np.sum(params["weights"])
        if model_input["x"].min() < 0:
            raise mlflow.exceptions.MlflowException(
                "x is not negative", mlflow.protos.databricks_pb2.BAD_REQUEST
            )
        if model_input["x"].max() > 100:
            raise ValueError("x was never seen as large")
        return model_input["x"].to_numpy() ** params["power"] * weights


class Dates(mlflow.pyfunc.PythonModel):
    """Answers dates, and labels that no signature declares."""

    def predict(self, context, model_input, params=None):
        later = model_input["since"] + pd.Timedelta(days=1)
        return pd.DataFrame({"next": later, "weekday": later.dt.day_name()})


class Names(mlflow.pyfunc.PythonModel):
    """Answers another name than its signature says."""

    def predict(self, context, model_input, params=None):
        return pd.DataFrame({"yhat": model_input["x"], "yhat_low": model_input["x"]})


class Tickets(mlflow.pyfunc.PythonModel):
    """Never answers alike twice."""

    def predict(self, context, model_input, params=None):
        return [str(uuid.uuid4()) for _ in range(len(model_input))]


class Centred(mlflow.pyfunc.PythonModel):
    """Answers a row by all rows of its batch."""

    def predict(self, context, model_input, params=None):
        return (model_input["x"] - model_input["x"].mean()).to_numpy()


class Echo(mlflow.pyfunc.ChatModel):
    """Answers a conversation, as MLflow's own chat models do."""

    def predict(self, context, messages, params):
        said = ChatMessage(role="assistant", content=messages[-1].content[::-1])
        return ChatCompletionResponse(choices=[ChatChoice(index=0, message=said)], created=7)


class Ragged(mlflow.pyfunc.PythonModel):
    """Takes and gives lists of any length in its rows, one of them nested."""

    def predict(self, context, model_input, params=None):
        return pd.DataFrame({
            "words": [",".join(row) for row in model_input["words"]],
            "twice": [[2 * value for value in row] for row in model_input["x"]],
            "deep": [[list(map(float, one)) for one in row] for row in model_input["deep"]],
            "roles": ["".join(one["role"] for one in row) for row in model_input["said"]],
        })  # fmt: skip


class Reader(pydantic.BaseModel):
    name: str
    born: int | None = None


class Greeting(mlflow.pyfunc.PythonModel):
    """Takes objects of pydantic by its type hint, and was logged without an example."""

    def predict(self, model_input: list[Reader], params=None) -> list[str]:
        return [f"{one.name} {one.born}" for one in model_input]


class Answered(mlflow.pyfunc.PythonModel):
    """Hands truth values on that may be missing."""

    def predict(self, context, model_input, params=None):
        return pd.DataFrame({"ok": [None if pd.isna(one) else one for one in model_input["ok"]]})


class Responses(mlflow.pyfunc.ResponsesAgent):
    """Answers in the protocol of responses, one object with an `output` of its own."""

    def predict(self, request):
        item = self.create_text_output_item(str(request.input[-1].content)[::-1], id="one")
        return ResponsesAgentResponse(output=[item], custom_outputs=request.custom_inputs)


def main(folder):
    needed = [f"{n}=={version(n)}" for n in ("mlflow", "scikit-learn", "pandas", "numpy", "skops")]

    def save(name, model, **more):
        mlflow.pyfunc.save_model(folder / name, python_model=model, pip_requirements=needed, **more)

    numbers = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)))
    fitted = LinearRegression().fit(numbers, numbers[0] - 2 * numbers[1])
    mlflow.sklearn.save_model(
        fitted, folder / "numbered", input_example=numbers.head(2), pip_requirements=needed
    )
    x = pd.DataFrame({"x": [1.0, 2.0, 4.0]})
    cities = pd.DataFrame({"city": ["Rome", None, "Oslo"]})
    save("gaps", Gaps(), input_example=cities)
    save("nested", Nested(), input_example=[{"values": [1.0, 2.5]}, {"values": [3.0]}])
    save("power", Power(), input_example=(x, {"power": 2, "weights": [0.5, 0.5]}))
    since = pd.DataFrame({"since": pd.to_datetime(["2026-01-30T00:00", "2026-01-31T12:00"])})
    save("dates", Dates(), signature=infer_signature(since))
    save("names", Names(), signature=infer_signature(x, pd.DataFrame({"yhat": [1.0], "up": [1.0]})))
    save("tickets", Tickets(), input_example=x)
    save("centred", Centred(), input_example=x)
    save("echo", Echo())
    save("responses", Responses())
    save("greeting", Greeting())
    maybe = Schema([ColSpec("boolean", "ok", required=False)])
    said = pd.DataFrame({"ok": [True, None]})
    save("answered", Answered(), input_example=said, signature=ModelSignature(maybe, maybe))
    lists = pd.DataFrame({
        "x": [[1.0, 2.0, 3.0], [4.0]], "words": [["a"], ["b", "c"]],
        "deep": [[[1.0], [2.0, 3.0]], [[4.0]]], "said": [[{"role": "x"}], [{"role": "y"}] * 2],
    })  # fmt: skip
    answer = pd.DataFrame({
        "words": ["a"], "twice": [[2.0]], "deep": [[[1.0]]], "roles": ["x"],
    })  # fmt: skip
    save("ragged", Ragged(), input_example=lists, signature=infer_signature(lists, answer))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
