"""A Llama block as is usual and fast in eager mode: linear layers, fused attention and fused norm."""

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    NAMES = ("norm1", "query", "key", "value", "output", "norm2", "gate", "up", "down")

    def __init__(self, width, heads, hidden, batch, sequence, rope_base, epsilon):
        super().__init__()
        self.shape, self.heads, self.epsilon = (batch, sequence, width), heads, epsilon
        self.norm1, self.norm2 = (nn.Parameter(torch.empty(width)) for _ in range(2))
        self.query, self.key, self.value, self.output = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=False)
        half = width // heads // 2
        angles = torch.arange(sequence, dtype=torch.float64)[:, None] * rope_base ** (
            -torch.arange(half, dtype=torch.float64)[None, :] / half
        )
        self.cos, self.sin = angles.cos().float(), angles.sin().float()

    def tensors(self):
        """The parameters, matrices as [out, in]."""
        return [getattr(own, "weight", own) for own in (getattr(self, name) for name in self.NAMES)]

    def forward(self, x):
        batch, sequence, width = self.shape

        def split(y):
            return y.view(batch, sequence, self.heads, width // self.heads).transpose(1, 2)

        def turn(y):
            a, b = y.chunk(2, dim=-1)
            return torch.cat((a * self.cos - b * self.sin, b * self.cos + a * self.sin), dim=-1)

        h = F.rms_norm(x, (width,), self.norm1, self.epsilon)
        q, k, v = turn(split(self.query(h))), turn(split(self.key(h))), split(self.value(h))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).reshape(batch * sequence, width))
        h = F.rms_norm(x, (width,), self.norm2, self.epsilon)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))
