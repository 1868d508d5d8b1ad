"""Time embeddings: `embed.py MODEL TEXTS FOLDER SECONDS URL|in_process BATCH…`.

Prints, for each size of a batch, the median in ms from texts to embeddings, by SentenceTransformer
in this process or by a service. A service takes ids: this process makes them, as a part of the
time, and compares the embeddings with those that SentenceTransformer left in FOLDER.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import numpy as np

NEAR = 1e-4
"""How far a served number may be from SentenceTransformer's; embeddings have the length 1."""


def in_process(model: str):
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(model, device="cpu")
    return lambda texts: loaded.encode(texts, batch_size=len(texts), show_progress_bar=False)


def served(model: str, url: str):
    from transformers import AutoTokenizer

    words, address = AutoTokenizer.from_pretrained(model), urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)

    def embed(texts: list[str]) -> np.ndarray:
        body, headers = request(words(texts, padding=True, return_tensors="np"))
        connection.request("POST", address.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(content.decode(errors="replace"))
        length = int(answer.headers["Inference-Header-Content-Length"])
        (output,) = json.loads(content[:length])["outputs"]
        return np.frombuffer(content[length:], np.float32).reshape(output["shape"])

    return embed


def request(ids) -> tuple[bytes, dict[str, str]]:
    """Return a request with binary tensors, and its headers."""
    inputs = [
        {"name": name, "datatype": "INT64", "shape": list(values.shape),
         "parameters": {"binary_data_size": values.nbytes}}
        for name, values in ids.items()
    ]  # fmt: skip
    outputs = [{"name": "sentence_embedding", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return head + b"".join(values.tobytes() for values in ids.values()), headers


def milliseconds(embed, texts: list[str], seconds: float) -> float:
    times, end = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        embed(texts)
        times.append((time.perf_counter() - began) * 1000)
    return median(times)


def main(model: str, texts: str, folder: str, seconds: str, where: str, *batches: str) -> None:
    sentences, reference = Path(texts).read_text().splitlines(), Path(folder) / "embeddings.npy"
    embed = in_process(model) if where == "in_process" else served(model, where)
    embeddings = embed(sentences)
    if where == "in_process":
        np.save(reference, embeddings)
    else:
        np.testing.assert_allclose(embeddings, np.load(reference), atol=NEAR)
    sizes = map(int, batches)
    print(json.dumps({n: milliseconds(embed, sentences[:n], float(seconds)) for n in sizes}))


if __name__ == "__main__":
    main(*sys.argv[1:])
