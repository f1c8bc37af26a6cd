"""Convolutional nets that classify, small, after the papers that their docstrings name."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.zoo.entry import entry

FREE = "x:float32[batch,3,height=64,width=48]"
FIXED = "x:float32[batch,3,32,32]"


def conv(inner: int, outer: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution, its normalization and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(inplace=True),
    )


def classifier(width: int, classes: int = 7) -> nn.Sequential:
    """The mean over the picture, and a dense layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class Residual(nn.Module):
    """Adds the input to what a branch gives, through `shortcut` where shapes differ."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.branch, self.shortcut = branch, shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + self.shortcut(x))


@entry("x:float32[batch,1,28,28]")
def lenet() -> nn.Module:
    """LeNet-5 (LeCun et al. 1998)."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


@entry("x:float32[batch,3,96,96]")
def alexnet() -> nn.Module:
    """AlexNet (Krizhevsky et al. 2012), narrow."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 11, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(16, 24, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(24, 24, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(24, 32),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(32, 10),
    )


@entry(FREE)
def vgg() -> nn.Module:
    """VGG (Simonyan and Zisserman 2014), narrow."""
    layers: list[nn.Module] = []
    for inner, outer in ((3, 8), (8, 16), (16, 32)):
        layers += [conv(inner, outer), conv(outer, outer), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, classifier(32))


@entry(FREE)
def resnet() -> nn.Module:
    """ResNet (He et al. 2015) with basic blocks."""

    def block(inner: int, outer: int, stride: int) -> nn.Module:
        branch = nn.Sequential(
            conv(inner, outer, stride=stride), nn.Conv2d(outer, outer, 3, padding=1)
        )
        return Residual(branch, nn.Conv2d(inner, outer, 1, stride))

    return nn.Sequential(
        conv(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1), block(8, 8, 1), block(8, 16, 2), classifier(16)
    )


@entry(FREE)
def resnext() -> nn.Module:
    """ResNeXt (Xie et al. 2016): grouped bottlenecks."""

    def block(width: int) -> nn.Module:
        return Residual(
            nn.Sequential(conv(width, 16, 1), conv(16, 16, groups=4), nn.Conv2d(16, width, 1))
        )

    return nn.Sequential(conv(3, 24, 3, 2), block(24), block(24), classifier(24))


@entry(FREE)
def densenet() -> nn.Module:
    """DenseNet (Huang et al. 2016)."""

    class Dense(nn.Module):
        def __init__(self, width: int, growth: int, count: int) -> None:
            super().__init__()
            self.parts = nn.ModuleList(conv(width + i * growth, growth) for i in range(count))

        def forward(self, x: Tensor) -> Tensor:
            for part in self.parts:
                x = torch.cat([x, part(x)], 1)
            return x

    return nn.Sequential(
        conv(3, 8, 3, 2),
        Dense(8, 4, 3),
        conv(20, 10, 1),
        nn.AvgPool2d(2),
        Dense(10, 4, 3),
        classifier(22),
    )


@entry(FREE)
def inception() -> nn.Module:
    """GoogLeNet's inception block (Szegedy et al. 2014)."""

    class Inception(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.one = conv(width, 8, 1)
            self.three = nn.Sequential(conv(width, 4, 1), conv(4, 8))
            self.five = nn.Sequential(conv(width, 4, 1), conv(4, 8, 5))
            self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(width, 8, 1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)

    return nn.Sequential(conv(3, 8, 3, 2), Inception(8), Inception(32), classifier(32))


@entry(FREE)
def squeezenet() -> nn.Module:
    """SqueezeNet (Iandola et al. 2016)."""

    class Fire(nn.Module):
        def __init__(self, inner: int, squeezed: int, expanded: int) -> None:
            super().__init__()
            self.squeeze = conv(inner, squeezed, 1)
            self.one, self.three = conv(squeezed, expanded, 1), conv(squeezed, expanded, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.squeeze(x)
            return torch.cat([self.one(x), self.three(x)], 1)

    return nn.Sequential(
        conv(3, 16, 3, 2),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(16, 4, 12),
        Fire(24, 6, 16),
        nn.Conv2d(32, 7, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


@entry(FREE)
def shufflenet() -> nn.Module:
    """ShuffleNet V2 (Ma et al. 2018): halves that change places."""

    class Shuffle(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            half = width // 2
            self.branch = nn.Sequential(
                conv(half, half, 1),
                nn.Conv2d(half, half, 3, padding=1, groups=half),
                conv(half, half, 1),
            )

        def forward(self, x: Tensor) -> Tensor:
            kept, changed = x.chunk(2, 1)
            x = torch.cat([kept, self.branch(changed)], 1)
            batch, width, height, columns = x.shape
            mixed = x.view(batch, 2, width // 2, height, columns).transpose(1, 2)
            return mixed.reshape(batch, width, height, columns)

    return nn.Sequential(conv(3, 16, 3, 2), Shuffle(16), Shuffle(16), classifier(16))


@entry(FREE)
def mobilenet_v2() -> nn.Module:
    """MobileNetV2 (Sandler et al. 2018): inverted residuals."""

    class Inverted(nn.Module):
        def __init__(self, inner: int, outer: int, stride: int) -> None:
            super().__init__()
            wide = inner * 4
            self.keeps = stride == 1 and inner == outer
            self.branch = nn.Sequential(
                conv(inner, wide, 1),
                conv(wide, wide, 3, stride, groups=wide),
                nn.Conv2d(wide, outer, 1),
                nn.BatchNorm2d(outer),
            )

        def forward(self, x: Tensor) -> Tensor:
            return x + self.branch(x) if self.keeps else self.branch(x)

    return nn.Sequential(
        conv(3, 8, 3, 2), Inverted(8, 8, 1), Inverted(8, 12, 2), Inverted(12, 12, 1), classifier(12)
    )


class Squeeze(nn.Module):
    """Weighs channels by what a small net makes of their means (Hu et al. 2017)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, 4, 1),
            nn.SiLU(),
            nn.Conv2d(4, width, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.net(x)


@entry(FREE)
def efficientnet() -> nn.Module:
    """EfficientNet (Tan and Le 2019): inverted residuals that are squeezed and excited."""
    layers = [
        Residual(
            nn.Sequential(
                conv(12, 24, 1), conv(24, 24, 5, groups=24), Squeeze(24), nn.Conv2d(24, 12, 1)
            )
        )
        for _ in range(2)
    ]
    return nn.Sequential(conv(3, 12, 3, 2), *layers, classifier(12))


@entry(FREE)
def convnext() -> nn.Module:
    """ConvNeXt (Liu et al. 2022): wide depthwise kernels, normalization over channels last."""

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
            self.norm = nn.LayerNorm(width, eps=1e-6)
            self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
            self.scale = nn.Parameter(torch.full((width,), 0.1))

        def forward(self, x: Tensor) -> Tensor:
            y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
            y = self.scale * self.narrow(F.gelu(self.wide(y)))
            return x + y.permute(0, 3, 1, 2)

    return nn.Sequential(nn.Conv2d(3, 16, 4, 4), Block(16), Block(16), classifier(16))


@entry(FREE)
def repvgg() -> nn.Module:
    """RepVGG (Ding et al. 2021) as trained: three branches that are added."""

    class Branches(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.three = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width))
            self.one = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width))
            self.same = nn.BatchNorm2d(width)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.three(x) + self.one(x) + self.same(x))

    return nn.Sequential(conv(3, 16, 3, 2), Branches(16), Branches(16), classifier(16))


@entry(FREE)
def ghostnet() -> nn.Module:
    """GhostNet (Han et al. 2019): half of the channels are made from the other half."""

    class Ghost(nn.Module):
        def __init__(self, inner: int, outer: int) -> None:
            super().__init__()
            self.first = conv(inner, outer // 2, 1)
            self.cheap = conv(outer // 2, outer // 2, 3, groups=outer // 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return torch.cat([x, self.cheap(x)], 1)

    return nn.Sequential(conv(3, 8, 3, 2), Ghost(8, 16), Ghost(16, 16), classifier(16))


@entry(FREE)
def spatial_pyramid() -> nn.Module:
    """Spatial pyramid pooling (He et al. 2014): cells of 1, 2 and 4 a side, whatever the size."""

    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = conv(3, 6, 3, 2)
            self.head = nn.Linear(6 * 21, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.features(x)
            cells = [F.adaptive_max_pool2d(x, size).flatten(1) for size in (1, 2, 4)]
            return self.head(torch.cat(cells, 1))

    return Pyramid()


@entry(FIXED)
def wide_resnet() -> nn.Module:
    """A wide ResNet (Zagoruyko 2016) that is activated before it convolves."""

    class Before(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.norm, self.conv = nn.BatchNorm2d(width), nn.Conv2d(width, width, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(F.relu(self.norm(x)))

    return nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), Before(32), Before(32), classifier(32))


@entry(FIXED)
def mixer() -> nn.Module:
    """MLP-Mixer (Tolstikhin et al. 2021)."""

    class Mix(nn.Module):
        def __init__(self, tokens: int, width: int) -> None:
            super().__init__()
            self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.across = nn.Sequential(nn.Linear(tokens, 32), nn.GELU(), nn.Linear(32, tokens))
            self.within = nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.across(self.norm(x).transpose(1, 2)).transpose(1, 2)
            return x + self.within(self.norm2(x))

    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 24, 8, 8)
            self.layers = nn.Sequential(Mix(16, 24), Mix(16, 24))
            self.head = nn.Linear(24, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.layers(self.patches(x).flatten(2).transpose(1, 2)).mean(1))

    return Mixer()


@entry("x:float32[batch,3,32,32]")
def vision_transformer() -> nn.Module:
    """ViT (Dosovitskiy et al. 2020) of torch.nn's own layers."""

    class Vision(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 32, 8, 8)
            self.token = nn.Parameter(torch.zeros(1, 1, 32))
            self.places = nn.Parameter(torch.randn(1, 17, 32) * 0.02)
            layer = nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True)
            self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(32, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
            return self.head(self.layers(x)[:, 0])

    return Vision()


@entry("a:float32[batch,3,height=32,width=32]", "b:float32[batch,3,height,width]")
def siamese() -> nn.Module:
    """Two pictures through one net, and the distance of what comes out (Bromley et al. 1993)."""

    class Siamese(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(conv(3, 8, 3, 2), conv(8, 8, 3, 2), classifier(8, 6))

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return (self.net(a) - self.net(b)).pow(2).sum(1)

    return Siamese()
