"""What the network is made of, in a file that config.json does not name."""

from __future__ import annotations

import torch


class Mixer(torch.nn.Module):
    """Adds the mean of all tokens that count to each of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        mean = (tokens * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        return torch.nn.functional.gelu(tokens + self.linear(mean))
