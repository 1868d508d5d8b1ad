"""Save models as PyTorch and MLflow document it: `save_pytorch.py FOLDER REQUIREMENTS…`."""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from pathlib import Path

import mlflow
import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.models import save_for_hf
from torch import nn
from torch.export import Dim

FOLDER, REQUIREMENTS = Path(sys.argv[1]), sys.argv[2:]


def network() -> nn.Module:
    """A classifier of images of any size, of layers that need no code of its own."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 5),
    )  # fmt: skip


def trained() -> nn.Module:
    """The same with statistics of its own, so that training and evaluation differ."""
    model = network()
    for _ in range(5):
        model(torch.rand(16, 3, 20, 20) * 3)
    return model


def digits() -> nn.Module:
    """A classifier of images of one size: its last layer fits no other."""
    torch.manual_seed(4)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))


def pooled() -> nn.Module:
    """A classifier of images of any size, which its exporter can only take for one."""
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)
    ).eval()


class Reader(nn.Module):
    """Two inputs of one length, and answers by name."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.inner = nn.Linear(16, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        states = torch.tanh(self.inner(self.table(tokens))) * mask[..., None]
        mean = states.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1.0)
        return {"logits": self.head(mean), "states": states}


class Branching(nn.Module):
    """Which way it goes depends on its input: no graph of one way is right."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.sum() > 0):
            return x * 2
        return x - 5


class Mixed(nn.Module):
    """An input and an answer of several types."""

    def forward(
        self, floats: torch.Tensor, whole: torch.Tensor, flags: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return (floats.double() + whole[:, None], whole * 2, ~flags)


class Scaled(nn.Module):
    """Arguments that are no tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, times: int, clip: bool, mode: str) -> torch.Tensor:
        answer = self.layer(x) * times
        if clip:
            answer = torch.relu(answer)
        return -answer if mode == "negative" else answer


class Kept(nn.Module):
    """Calls an operator of torchvision, as its detectors do."""

    def forward(self, boxes: torch.Tensor) -> torch.Tensor:
        return torchvision.ops.nms(boxes, boxes[:, 0], 0.5)


class Summed(nn.Module):
    """A list of tensors, as torchvision's detectors take their images."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, parts: list[torch.Tensor]) -> torch.Tensor:
        return self.layer(torch.stack(parts).sum(0))


class Nested(nn.Module):
    """An argument that no tensor of a request can be."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, parts: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.layer(parts["x"])


class Stepped(nn.Module):
    """A state of several tensors beside the input, and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTMCell(4, 5)

    def forward(
        self, x: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor], times: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, cell = self.layer(x, state)
        return hidden * times, cell


class Backwards(nn.Module):
    """Layers that were made in another order than they are called in."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.table = nn.Embedding(10, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.table(ids).mean(1))


class Attention(nn.Module):
    """Two sequences of lengths of their own, whose features no layer tells first."""

    def forward(self, query: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Return the answer for each step of the query."""
        batch, steps, features = query.shape
        heads = query.reshape(batch, steps, 2, features // 2).transpose(1, 2)
        keys = memory.reshape(batch, -1, 2, 4).transpose(1, 2)
        mixed = torch.softmax(heads @ keys.transpose(2, 3), dim=-1) @ keys
        return mixed.transpose(1, 2).reshape(batch, steps, features)


class Paired(nn.Module):
    """Two inputs, which a program may be exported to take by name."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(3, 8)

    def forward(self, wide: torch.Tensor, deep: torch.Tensor) -> torch.Tensor:
        return self.first(wide) * self.second(deep)


class Bags(nn.Module):
    """Inputs whose values belong together: few offsets into indices are answered."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(50, 8)

    def forward(self, indices: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        return self.table(indices, offsets)


def wrapped() -> None:
    """Modules and programs that are not simply of layers in FP32, with inputs in their order."""
    torch.save(nn.Sequential(nn.Linear(4, 2)).bfloat16(), FOLDER / "brain.pt")
    torch.save(torch.compile(nn.Sequential(nn.Linear(4, 2))), FOLDER / "compiled.pt")
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    torch.save(nn.TransformerEncoder(encoder, 1), FOLDER / "encoder.pt")
    paired = Paired().eval()
    keywords = {"wide": torch.rand(2, 4), "deep": torch.rand(2, 3)}
    shapes = {"wide": {0: Dim("batch")}, "deep": {0: Dim("batch")}}
    by_name = torch.export.export(paired, (), keywords, dynamic_shapes=shapes)
    torch.export.save(by_name, FOLDER / "keywords.pt2")
    bags = (torch.randint(0, 50, (9,)), torch.tensor([0, 4]))
    torch.export.save(torch.export.export(Bags().eval(), bags), FOLDER / "bags.pt2")


def on_gpu(source: Path, target: Path) -> None:
    """Write a file as one with the tensors of a GPU is: its pickle names the device."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as write:
        for name in read.namelist():
            data = read.read(name)
            if name.endswith("data.pkl"):
                data = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            write.writestr(name, data)


def save_of_timm() -> None:
    """As timm publishes a model: its configuration, and weights in both formats."""
    torch.manual_seed(6)
    model = timm.create_model("test_resnet", num_classes=3).eval()
    named = {"label_names": ["cat", "dog", "bird"]}
    save_for_hf(model, FOLDER / "timm", model_config=named, safe_serialization="both")
    image = torch.rand(2, *model.pretrained_cfg["input_size"])
    answer = model(image).detach().tolist()
    given = {"inputs": {"x": image.tolist()}, "outputs": {"output": answer}}
    (FOLDER / "timm.json").write_text(json.dumps(given))


def arguments() -> None:
    """Save models whose arguments are not all tensors in a row."""
    for name, module in (
        ("scaled", Scaled()), ("backwards", Backwards()), ("summed", Summed()),
        ("nested", Nested()), ("kept", Kept()),
    ):  # fmt: skip
        torch.jit.script(module).save(FOLDER / f"{name}.pt")
    rows = {0: Dim("rows")}
    state = (torch.zeros(3, 5), torch.zeros(3, 5))
    stepped = torch.export.export(
        Stepped(), (torch.rand(3, 4), state, 2), dynamic_shapes=(rows, (rows, rows), None)
    )
    torch.export.save(stepped, FOLDER / "stepped.pt2")
    half = torch.export.export(nn.Linear(4, 3).bfloat16(), (torch.rand(3, 4).bfloat16(),))
    torch.export.save(half, FOLDER / "brain.pt2")
    dynamic = torch.ao.quantization.quantize_dynamic(
        nn.Sequential(nn.Linear(4, 3)), {nn.Linear}, dtype=torch.qint8
    )
    torch.save(dynamic, FOLDER / "quantised.pt")
    torch.save(nn.Sequential(nn.EmbeddingBag(9, 4), nn.Linear(4, 3)), FOLDER / "bag.pt")


def main() -> None:
    model = trained()
    image = torch.rand(2, 3, 24, 24)
    torch.save(model, FOLDER / "training.pt")
    torch.save(model.state_dict(), FOLDER / "weights.bin")
    on_gpu(FOLDER / "training.pt", FOLDER / "gpu.pt")
    model.eval()
    np.save(FOLDER / "image.npy", image.numpy())
    np.save(FOLDER / "answer.npy", model(image).detach().numpy())
    torch.jit.trace(model, image).save(FOLDER / "traced.pth")
    torch.jit.script(Branching()).save(FOLDER / "scripted.pt")
    batch = {0: Dim("batch")}
    torch.export.save(
        torch.export.export(model, (image,), dynamic_shapes=(batch,)), FOLDER / "e.pt2"
    )
    torch.save(digits(), FOLDER / "digits.pt")
    torch.save(pooled(), FOLDER / "pooled.pt")
    torch.save(model.half(), FOLDER / "half.pt")
    wrapped()

    reader, length = Reader().eval(), {0: Dim("batch"), 1: Dim("length")}
    tokens, mask = torch.randint(0, 50, (2, 7)), torch.ones(2, 7)
    program = torch.export.export(reader, (tokens, mask), dynamic_shapes=(length, length))
    torch.export.save(program, FOLDER / "reader.pt2")
    mixed = (torch.rand(2, 3), torch.arange(2, dtype=torch.int32), torch.tensor([True, False]))
    torch.jit.script(Mixed()).save(FOLDER / "mixed.pt")
    named = dict(zip(("floats", "whole", "flags"), mixed, strict=True))
    np.savez(FOLDER / "mixed.npz", **{name: each.numpy() for name, each in named.items()})
    torch.save(reader, FOLDER / "main.pt")
    torch.jit.script(Attention()).save(FOLDER / "attention.pt")
    torch.save(nn.GRU(4, 6).state_dict(), FOLDER / "recurrent.pth")
    torch.save(nn.Bilinear(3, 4, 2), FOLDER / "bilinear.pt")
    unsigned = {"serialization_format": "pickle", "pip_requirements": REQUIREMENTS}
    mlflow.pytorch.save_model(nn.Bilinear(3, 4, 2), FOLDER / "unsigned", **unsigned)

    torch.manual_seed(6)
    squeezed = torchvision.models.squeezenet1_1(num_classes=7)
    state = squeezed.state_dict()
    torch.save(state, FOLDER / "squeezed.pth")
    save_file(state, FOLDER / "squeezed.safetensors")
    torch.save({f"module.{key}": value for key, value in state.items()}, FOLDER / "parallel.pth")
    checkpoint = {
        "epoch": 3, "args": argparse.Namespace(data="images"), "best": np.float64(0.75),
        "optimizer_state_dict": {"lr": 0.1},
        "model_state_dict": {f"_orig_mod.{key}": value for key, value in state.items()},
    }  # fmt: skip
    torch.save(checkpoint, FOLDER / "checkpoint.ckpt")
    torch.save({"epoch": 3, "history": [1.0, 0.5]}, FOLDER / "history.pt")

    arguments()
    save_of_timm()
    examples = {"input_example": np.random.default_rng(0).random((1, 3, 24, 24), np.float32)}
    common = {"pip_requirements": REQUIREMENTS}
    mlflow.pytorch.save_model(trained(), FOLDER / "logged", **examples, **common)
    pictures = {"input_example": np.random.default_rng(1).random((2, 3, 64, 64), np.float32)}
    mlflow.pytorch.save_model(squeezed.eval(), FOLDER / "renamed", **pictures, **common)
    mlflow.pytorch.save_model(squeezed, FOLDER / "pickled", serialization_format="pickle", **common)
    (FOLDER / "done.json").write_text(json.dumps(sorted(p.name for p in FOLDER.iterdir())))


if __name__ == "__main__":
    main()
