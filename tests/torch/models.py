"""Small PyTorch models with what makes layers hard to take, and their activations by hooks of one's own."""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import nn


class Block(nn.Module):
    """A residual block that overwrites its tensors and calls one ReLU twice."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x
        return self.relu(y)


class Net(nn.Module):
    def __init__(self, channels: int = 6, blocks: int = 2, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1)
        self.layer1 = nn.Sequential(*(Block(channels) for _ in range(blocks)))
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(channels, 5)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.05, 0.2)

    def forward(self, x):
        return self.fc(self.dropout(self.layer1(self.conv1(x)).mean((2, 3))))


@dataclasses.dataclass
class Encoded:
    last_hidden_state: torch.Tensor
    pooled: torch.Tensor
    nothing: None = None


class Encoder(nn.Module):
    def __init__(self, width: int = 8):
        super().__init__()
        self.embed, self.mix = nn.Embedding(30, width), nn.Linear(width, width)

    def forward(self, input_ids):
        hidden = torch.tanh(self.mix(self.embed(input_ids)))
        return Encoded(hidden, hidden.mean(1))


class Tokens(nn.Module):
    """Takes what a collator of token ids gives, returns a dict; an LSTM stands in it, states and all."""

    def __init__(self, seed: int = 0, layers: int = 3):
        super().__init__()
        torch.manual_seed(seed)
        self.encoder = Encoder()
        self.lstm = nn.LSTM(8, 4, layers, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, input_ids, attention_mask=None, labels=None):
        out, _ = self.lstm(self.encoder(input_ids).last_hidden_state)
        logits = self.head(out)
        return {"logits": logits, "loss": logits.mean(), "pair": (logits.exp(), [logits.cumsum(1)])}


def images(n: int = 24, size: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def activations(model: nn.Module, x, names: list[str], call=None) -> list:
    """The outputs of the modules named, ``name:1`` for a second call, of a float64 copy of the model, as numpy."""
    model = copy.deepcopy(model).double().eval()
    found = {}

    def hook(name):
        count = [0]

        def keep(module, args, output):
            key = name + (f":{count[0]}" if count[0] else "")
            count[0] += 1
            found[key] = output.detach().clone() if isinstance(output, torch.Tensor) else output

        return keep

    for name, module in model.named_modules():
        module.register_forward_hook(hook(name or "output"))
    with torch.no_grad():
        model(x.double()) if call is None else call(model)
    return [found[name].double().numpy() for name in names]
