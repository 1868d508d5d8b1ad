"""How far answers of a GPU are from those of a CPU, by the arithmetic that the GPU uses.

For each model (random weights, 32 inputs) and each arithmetic: the largest difference of an output
as a fraction of its scale, the rows whose largest output is another one, and what the CPU alone
predicts: the difference that rounding weights and inputs to that arithmetic makes. Needs a GPU,
PyTorch, torchvision and transformers. Run: python bench/devices/arithmetic.py [FILE.json]
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torchvision
import transformers

BATCH = 32
SEEDS = (0, 1)
Model = tuple[torch.nn.Module, torch.Tensor]


def models() -> Iterator[tuple[str, Callable[[], Model]]]:
    """Yield the models by name, each made when it is called."""
    vision = torchvision.models
    for name in ("resnet50", "mobilenet_v3_large", "efficientnet_b0", "convnext_tiny", "vit_b_16"):
        make = getattr(vision, name)
        yield name, lambda make=make: (make(weights=None), torch.randn(BATCH, 3, 224, 224))
    yield "mlp", lambda: (mlp(), torch.randn(BATCH, 256))
    yield "lstm", lambda: (Last(torch.nn.LSTM(64, 256, 2, batch_first=True)),
                           torch.randn(BATCH, 100, 64))  # fmt: skip
    for name, config in texts().items():
        yield (
            name,
            lambda config=config: (
                Text(transformers.AutoModel.from_config(config)),
                torch.randint(0, 1000, (BATCH, 128)),
            ),
        )


def texts() -> dict[str, Any]:
    return {
        "bert-base": transformers.BertConfig(),
        "distilbert": transformers.DistilBertConfig(),
        "gpt2": transformers.GPT2Config(),
        "minilm": transformers.BertConfig(
            hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
        ),
    }


def mlp() -> torch.nn.Module:
    layers: list[torch.nn.Module] = []
    for _ in range(4):
        layers += [torch.nn.Linear(256 if not layers else 1024, 1024), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(1024, 10))


class Last(torch.nn.Module):
    """The last step of a recurrent network."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.inner(given)[0][:, -1]


class Text(torch.nn.Module):
    """The mean of the last hidden states, as embeddings are made."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.inner(given).last_hidden_state.mean(1)


def rounded(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Return FP32 values with so many bits of significand kept."""
    if not values.is_floating_point():
        return values
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2 ** (bits + 1)) / 2 ** (bits + 1), exponent)


def on_cpu(model: torch.nn.Module, given: torch.Tensor, bits: int | None = None) -> torch.Tensor:
    """Return the CPU's answer, with weights and inputs rounded if bits are given."""
    if bits is not None:
        model, given = copy.deepcopy(model), rounded(given, bits)
        for each in model.parameters():
            each.data = rounded(each.data, bits)
    with torch.inference_mode():
        return model(given).float()


def on_gpu(model: torch.nn.Module, given: torch.Tensor, kind: torch.dtype, tf32: bool) -> Any:
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    there = copy.deepcopy(model).to("cuda", kind)
    given = given.to("cuda", kind) if given.is_floating_point() else given.to("cuda")
    with torch.inference_mode():
        return there(given).float().cpu()


def distance(one: torch.Tensor, other: torch.Tensor) -> tuple[float, int]:
    """Return the largest difference as a fraction of the scale, and the rows of another label."""
    far = ((one - other).abs().max() / one.abs().max()).item()
    return far, int((one.argmax(-1) != other.argmax(-1)).sum())


ARITHMETIC = {
    "FP32": (torch.float32, False, None),
    "TF32": (torch.float32, True, 10),
    "FP16": (torch.float16, False, 10),
    "BF16": (torch.bfloat16, False, 7),
}


def main() -> None:
    device = torch.cuda.get_device_name()
    print(device, torch.__version__, torch.version.cuda, flush=True)
    rows = []
    for name, make in models():
        for seed in SEEDS:
            torch.manual_seed(seed)
            model, given = make()
            model.eval()
            reference = on_cpu(model, given)
            for arithmetic, (kind, tf32, bits) in ARITHMETIC.items():
                far, labels = distance(reference, on_gpu(model, given, kind, tf32))
                expected = None if bits is None else distance(reference, on_cpu(model, given, bits))
                rows.append({
                    "model": name, "seed": seed, "arithmetic": arithmetic, "distance": far,
                    "other_labels": labels, "predicted": expected and expected[0],
                })  # fmt: skip
                print(json.dumps(rows[-1]), flush=True)
    if len(sys.argv) > 1:
        text = json.dumps({"device": device, "rows": rows}, indent=1)
        Path(sys.argv[1]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
