"""The networks of `networks.py` in torch, with the same names. Runs in the peers' venv only."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mlp(width: int = 64, hidden: int = 256) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 49, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


class OddConvolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.b = nn.Conv2d(12, 24, 3, groups=4, dilation=2, padding=2)
        self.c = nn.Conv2d(24, 24, 3, groups=24, stride=2)
        self.d = nn.Conv2d(24, 16, 2, stride=2, dilation=(1, 2))
        self.e = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.leaky_relu(self.b(functional.relu(self.a(x))), 0.01)
        x = torch.sigmoid(self.c(functional.pad(x, (0, 1, 1, 0))))
        return self.e(torch.tanh(self.d(x)).mean((2, 3)))


class Inverted(nn.Module):
    def __init__(self, channels: int, out: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = nn.Conv2d(channels, wide, 1) if expansion > 1 else None
        self.depth = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide)
        self.project = nn.Conv2d(wide, out, 1)
        self.around = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else functional.relu6(self.expand(x))
        y = self.project(functional.relu6(self.depth(y)))
        return x + y if self.around else y


class MobileNet(nn.Module):
    def __init__(self, stages: tuple[tuple[int, int, int, int], ...], last: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2, 1)
        channels, self.count = 32, 0
        for expansion, out, repeats, stride in stages:
            for repeat in range(repeats):
                block = Inverted(channels, out, expansion, stride if repeat == 0 else 1)
                self.add_module(str(self.count), block)
                channels, self.count = out, self.count + 1
        self.top = nn.Conv2d(channels, last, 1)
        self.head = nn.Linear(last, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self.stem(x))
        for number in range(self.count):
            x = self.get_submodule(str(number))(x)
        return self.head(functional.relu6(self.top(x)).mean((2, 3)))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        packed = self.qkv(self.norm1(x)).reshape(n, length, 3, self.heads, width // self.heads)
        q, k, v = packed.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, length, width))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, length: int, width: int, heads: int, layers: int, classes: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(32, width), nn.Linear(width, classes)
        self.position = nn.Parameter(torch.zeros(1, length, width))
        self.norm, self.layers = nn.LayerNorm(width), layers
        for layer in range(layers):
            self.add_module(str(layer), Block(width, heads))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x) + self.position
        for layer in range(self.layers):
            x = self.get_submodule(str(layer))(x)
        return self.head(self.norm(x).mean(1))


class PreActivation(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(out)
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1)
        self.short = nn.Conv2d(channels, out, 1, stride) if channels != out else None

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(x))
        short = x if self.short is None else self.short(y)
        return short + self.conv2(functional.relu(self.norm2(self.conv1(y))))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 1, 1)
        self.a, self.b, self.c = (
            PreActivation(16, 16, 1),
            PreActivation(16, 32, 2),
            PreActivation(32, 32, 1),
        )
        self.norm, self.head = nn.BatchNorm2d(32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c(self.b(self.a(self.stem(x))))
        return self.head(functional.relu(self.norm(x)).mean((2, 3)))


TWINS: dict[str, Callable[[], nn.Module]] = {
    "large_mlp": lambda: mlp(784, 512),
    "lenet": lenet,
    "mlp": mlp,
    "mobilenet": lambda: MobileNet(STAGES, 1280),
    "odd_convolutions": OddConvolutions,
    "residual": Residual,
    "small_mobilenet": lambda: MobileNet(((1, 16, 1, 1), (6, 16, 1, 1), (6, 32, 2, 2)), 128),
    "small_transformer": lambda: Transformer(8, 16, 2, 1, 4),
    "transformer": lambda: Transformer(64, 128, 4, 2, 10),
}


def soft_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    each = -(target * torch.log_softmax(logits, 1)).sum(1)
    return (each * weight).sum() / weight.sum()
