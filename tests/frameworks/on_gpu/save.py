"""Save models on a GPU, as the files beside this one were: `save.py FOLDER`.

A file that was saved on a GPU names it: in the pickle of each tensor, in the constants of a script,
and in the graph of an exported program. None of that is on the machine that serves it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.export import Dim


class Shifted(nn.Module):
    """A layer, a tensor that the forward makes on its own device, and one that is registered."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)
        self.register_buffer("scale", torch.full((4,), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        offset = torch.arange(4, device=x.device, dtype=x.dtype)
        return self.layer(x) * self.scale + offset


def main(folder: Path) -> None:
    torch.manual_seed(7)
    model = Shifted().eval().cuda()
    sequential = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval().cuda()
    x = torch.rand(3, 6, device="cuda")
    torch.save(sequential, folder / "module.pt")
    torch.save(sequential.state_dict(), folder / "weights.pt")
    torch.jit.trace(model, x).save(folder / "traced.pt")
    torch.jit.script(model).save(folder / "scripted.pt")
    program = torch.export.export(model, (x,), dynamic_shapes=({0: Dim("batch")},))
    torch.export.save(program, folder / "exported.pt2")
    answers = {"x": x, "shifted": model(x), "sequential": sequential(x)}
    np.savez(folder / "answers.npz", **{k: v.detach().cpu().numpy() for k, v in answers.items()})
    print(torch.__version__, torch.cuda.get_device_name())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
