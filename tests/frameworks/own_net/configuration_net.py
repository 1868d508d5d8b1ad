"""The configuration."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig


class NetConfig(PretrainedConfig):
    """Sizes of the network."""

    model_type = "own_net"

    def __init__(self, vocab_size: int = 220, width: int = 16, **more: Any) -> None:
        self.vocab_size, self.width = vocab_size, width
        super().__init__(**more)
