# /// script
# requires-python = ">=3.11"
# dependencies = ["mlflow==3.17.2", "torch==2.15.0", "torchvision==0.29.2"]
# ///
"""Train torchvision's ResNet-50 to tell shapes apart, and register it: `make resnet50` runs this.

    resnet50@champion   0 circle, 1 square, 2 triangle, in images of 224 × 224 pixels
    shape.png           an image of a triangle

MLFLOW_TRACKING_URI names the registry; without it, it is the file mlflow.db beside this script. The
images are drawn here, and only the last layer is trained: it takes seconds, and needs no weights of
anybody else.
"""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
import mlflow.pytorch
import numpy as np
import torch
import torchvision
from PIL import Image, ImageDraw

BESIDE = Path(__file__).parent
SHAPES = ("circle", "square", "triangle")
EACH = 40
"""Images of each shape."""


def draw(shape: int, random: np.random.Generator) -> Image.Image:
    """Return an image of a shape, of any size, place and colour."""
    image = Image.new("RGB", (224, 224), tuple(random.integers(0, 90, 3)))
    size, (x, y) = random.integers(90, 150), random.integers(10, 60, 2)
    colour, box = tuple(random.integers(150, 256, 3)), (x, y, x + size, y + size)
    pen = ImageDraw.Draw(image)
    if shape == 0:
        pen.ellipse(box, fill=colour)
    elif shape == 1:
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon([(x, y + size), (x + size, y + size), (x + size // 2, y)], fill=colour)
    return image


def as_input(image: Image.Image) -> torch.Tensor:
    """Return an image as `[3, 224, 224]`, from 0 to 1, as `cloche infer` sends it."""
    return torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)


def train() -> tuple[torch.nn.Module, torch.Tensor]:
    """Fit the last layer to drawn images by least squares; return the model and some images."""
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    labels = torch.arange(len(SHAPES)).repeat(EACH)
    images = torch.stack([as_input(draw(int(label), random)) for label in labels])
    model = torchvision.models.resnet50(num_classes=len(SHAPES)).eval()
    model.fc = torch.nn.Identity()
    with torch.no_grad():
        features = torch.cat([model(part) for part in images.split(20)])
        mean, spread = features.mean(0), features.std(0) + 1e-6
        known = torch.nn.functional.one_hot(labels).float() - 1 / len(SHAPES)
        inputs = (features - mean) / spread
        kernel = inputs @ inputs.T + 10.0 * torch.eye(len(inputs))
        weights = inputs.T @ torch.linalg.solve(kernel, known)
        layer = torch.nn.Linear(features.shape[1], len(SHAPES))
        layer.weight.copy_((weights / spread[:, None]).T)
        layer.bias.copy_(1 / len(SHAPES) - (mean / spread) @ weights)
    model.fc = layer
    return model, images[:2]


def main() -> None:
    """Train, try on new images, register."""
    model, images = train()
    random = np.random.default_rng(1)
    labels = torch.arange(len(SHAPES)).repeat(10)
    with torch.no_grad():
        unseen = torch.stack([as_input(draw(int(label), random)) for label in labels])
        right = int((model(unseen).argmax(1) == labels).sum())
    if right < 0.8 * len(labels):
        raise SystemExit(f"Only {right} of {len(labels)} new images were told apart.")
    draw(2, random).save(BESIDE / "shape.png")
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{BESIDE / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("examples")
    logged = mlflow.pytorch.log_model(
        model,
        name="model",
        input_example=images.numpy(),
        registered_model_name="resnet50",
        pip_requirements=["torch==2.15.0", "torchvision==0.29.2"],
    )
    version = logged.registered_model_version
    mlflow.MlflowClient().set_registered_model_alias("resnet50", "champion", version)


if __name__ == "__main__":
    main()
