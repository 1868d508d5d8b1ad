"""The network."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from .configuration_net import NetConfig
from .layers import Mixer


class NetForSequenceClassification(PreTrainedModel):
    """A classifier of texts."""

    config_class = NetConfig

    def __init__(self, config: NetConfig) -> None:
        super().__init__(config)
        self.embedding = torch.nn.Embedding(config.vocab_size, config.width)
        self.mixer = Mixer(config.width)
        self.head = torch.nn.Linear(config.width, config.num_labels)
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any
    ) -> SequenceClassifierOutput:
        tokens = self.embedding(input_ids)
        mixed = self.mixer(tokens, attention_mask[..., None].to(tokens.dtype))
        return SequenceClassifierOutput(logits=self.head(mixed[:, 0]))
