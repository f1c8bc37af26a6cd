"""Nets that give pictures or places in them: segmentation, detection, generation."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.zoo.convolutional import conv
from benchmarks.zoo.entry import entry

FREE = "x:float32[batch,3,height=64,width=48]"


@entry(FREE)
def unet() -> nn.Module:
    """U-Net (Ronneberger et al. 2015) that resizes to what it adds."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down1, self.down2, self.deep = conv(3, 8), conv(8, 16), conv(16, 32)
            self.up2, self.up1, self.head = conv(48, 16), conv(24, 8), nn.Conv2d(8, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            one = self.down1(x)
            two = self.down2(F.max_pool2d(one, 2))
            deep = self.deep(F.max_pool2d(two, 2))
            up = F.interpolate(deep, size=two.shape[-2:], mode="bilinear", align_corners=False)
            up = self.up2(torch.cat([up, two], 1))
            up = F.interpolate(up, size=one.shape[-2:], mode="bilinear", align_corners=False)
            return self.head(self.up1(torch.cat([up, one], 1)))

    return Net()


@entry(FREE)
def unet_padded() -> nn.Module:
    """U-Net with transposed convolutions, padded to the size of what it adds."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.deep = conv(3, 8), conv(8, 16)
            self.up, self.head = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            one = self.down(x)
            up = self.up(self.deep(F.max_pool2d(one, 2)))
            rows, columns = one.shape[2] - up.shape[2], one.shape[3] - up.shape[3]
            up = F.pad(up, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
            return self.head(torch.cat([one, up], 1))

    return Net()


@entry(FREE)
def fcn() -> nn.Module:
    """A fully convolutional net (Long et al. 2014)."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(conv(3, 8, 3, 2), conv(8, 16, 3, 2))
            self.head = nn.Conv2d(16, 4, 1)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            scores = self.head(self.features(x))
            return {"out": F.interpolate(scores, x.shape[-2:], mode="bilinear")}

    return Net()


@entry(FREE)
def deeplab() -> nn.Module:
    """DeepLab v3's pyramid of dilated convolutions (Chen et al. 2017)."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = conv(3, 12, 3, 2)
            self.rates = nn.ModuleList(
                nn.Conv2d(12, 6, 3, padding=rate, dilation=rate) for rate in (1, 2, 4)
            )
            self.pooled, self.head = nn.Conv2d(12, 6, 1), nn.Conv2d(24, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            features = self.features(x)
            mean = self.pooled(F.adaptive_avg_pool2d(features, 1))
            mean = F.interpolate(mean, features.shape[-2:], mode="nearest")
            parts = [rate(features) for rate in self.rates]
            scores = self.head(torch.cat([*parts, mean], 1))
            return F.interpolate(scores, x.shape[-2:], mode="bilinear", align_corners=True)

    return Net()


@entry(FREE)
def pyramid_features() -> nn.Module:
    """A feature pyramid (Lin et al. 2016): several maps come out."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = (8, 12, 16)
            self.down = nn.ModuleList(
                conv(inner, outer, 3, 2) for inner, outer in zip((3, *widths), widths, strict=False)
            )
            self.side = nn.ModuleList(nn.Conv2d(width, 8, 1) for width in widths)

        def forward(self, x: Tensor) -> list[Tensor]:
            maps = []
            for layer in self.down:
                x = layer(x)
                maps.append(x)
            tops = [self.side[-1](maps[-1])]
            for side, features in zip(reversed(self.side[:-1]), reversed(maps[:-1]), strict=True):
                up = F.interpolate(tops[0], size=features.shape[-2:], mode="nearest")
                tops.insert(0, side(features) + up)
            return tops

    return Net()


@entry("x:float32[batch,3,64,64]")
def segnet() -> nn.Module:
    """SegNet (Badrinarayanan et al. 2015): unpooling by the places of the largest."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = conv(3, 8), conv(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            pooled, places = F.max_pool2d(self.down(x), 2, return_indices=True)
            return self.up(F.max_unpool2d(pooled, places, [2, 2]))

    return Net()


@entry(FREE)
def hourglass() -> nn.Module:
    """A stacked hourglass (Newell et al. 2016), and the expected place of each joint."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.low, self.same = conv(3, 8, 3, 2), conv(8, 8), conv(8, 8)
            self.head = nn.Conv2d(8, 5, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            low = F.interpolate(self.low(F.max_pool2d(x, 2)), size=x.shape[-2:], mode="nearest")
            maps = self.head(self.same(x) + low)
            batch, joints, height, width = maps.shape
            weights = maps.flatten(2).softmax(-1).view(batch, joints, height, width)
            rows = torch.linspace(0, 1, height)[:, None]
            columns = torch.linspace(0, 1, width)
            at = [(weights * rows).sum((2, 3)), (weights * columns).sum((2, 3))]
            return torch.stack(at, -1)

    return Net()


@entry(FREE)
def super_resolution() -> nn.Module:
    """ESPCN (Shi et al. 2016): a picture of twice the size by pixel shuffle."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2),
        nn.Tanh(),
        nn.Conv2d(16, 12, 3, padding=1),
        nn.PixelShuffle(2),
    )


@entry(FREE)
def style_transfer() -> nn.Module:
    """A style transfer net (Johnson et al. 2016): reflected edges, instance normalization."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(
                nn.ReflectionPad2d(1),
                nn.Conv2d(12, 12, 3),
                nn.InstanceNorm2d(12, affine=True),
                nn.ReLU(),
                nn.ReflectionPad2d(1),
                nn.Conv2d(12, 12, 3),
            )

        def forward(self, x: Tensor) -> Tensor:
            return x + self.net(x)

    return nn.Sequential(
        nn.ReflectionPad2d(4),
        nn.Conv2d(3, 8, 9),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, 2, 1),
        Block(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(12, 3, 3, padding=1),
        nn.Tanh(),
    )


@entry("z:float32[batch,16]")
def generator() -> nn.Module:
    """DCGAN's generator (Radford et al. 2015)."""
    return nn.Sequential(
        nn.Linear(16, 128),
        nn.Unflatten(1, (8, 4, 4)),
        nn.ConvTranspose2d(8, 8, 4, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 3, 4, 2, 1),
        nn.Tanh(),
    )


@entry("x:float32[batch,3,32,32]")
def autoencoder() -> nn.Module:
    """A variational autoencoder (Kingma and Welling 2013) that gives its mean and deviation."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(conv(3, 8, 3, 2), conv(8, 8, 3, 2), nn.Flatten())
            self.mean, self.spread = nn.Linear(512, 6), nn.Linear(512, 6)
            self.decoder = nn.Sequential(
                nn.Linear(6, 512),
                nn.Unflatten(1, (8, 8, 8)),
                nn.Upsample(scale_factor=4),
                nn.Conv2d(8, 3, 3, padding=1),
            )

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            h = self.encoder(x)
            mean, spread = self.mean(h), self.spread(h)
            return self.decoder(mean), mean, spread

    return Net()


@entry("x:float32[batch,3,height=64,width=96]")
def yolo() -> nn.Module:
    """A head of YOLO (Redmon et al. 2016): boxes by cells of two grids."""

    class Net(nn.Module):
        anchors: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(conv(3, 8, 3, 2), conv(8, 16, 3, 2), conv(16, 16, 3, 2))
            self.two = conv(16, 16, 3, 2)
            self.heads = nn.ModuleList(nn.Conv2d(16, 2 * 9, 1) for _ in range(2))
            self.register_buffer("anchors", torch.tensor([[10.0, 13.0], [33.0, 23.0]]))

        def forward(self, x: Tensor) -> Tensor:
            one = self.one(x)
            boxes = []
            for features, head, stride in zip(
                (one, self.two(one)), self.heads, (8, 16), strict=True
            ):
                y = head(features)
                batch, _, rows, columns = y.shape
                y = y.view(batch, 2, 9, rows, columns).permute(0, 1, 3, 4, 2).sigmoid()
                grid = torch.stack(
                    torch.meshgrid(torch.arange(columns), torch.arange(rows), indexing="xy"), -1
                )
                place = (y[..., :2] * 2 - 0.5 + grid) * stride
                size = (y[..., 2:4] * 2) ** 2 * self.anchors[:, None, None]
                boxes.append(torch.cat([place, size, y[..., 4:]], -1).flatten(1, 3))
            return torch.cat(boxes, 1)

    return Net()


@entry("x:float32[batch,3,height=64,width=96]")
def centernet() -> nn.Module:
    """CenterNet (Zhou et al. 2019): the largest of a map of centres, and their boxes."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(conv(3, 8, 3, 2), conv(8, 8, 3, 2))
            self.heat, self.size = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 2, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            features = self.features(x)
            heat = self.heat(features).sigmoid()
            heat = heat * (F.max_pool2d(heat, 3, 1, 1) == heat)
            _, _, rows, columns = heat.shape
            scores, at = heat.flatten(1).topk(5)
            cell = at % (rows * columns)
            sizes = self.size(features).flatten(2).gather(2, cell[:, None].expand(-1, 2, -1))
            place = torch.stack([cell % columns, cell // columns], -1)
            return scores, place, sizes.transpose(1, 2)

    return Net()


@entry("x:float32[batch,3,height=64,width=96]")
def anchors() -> nn.Module:
    """RetinaNet (Lin et al. 2017): anchors of a map that is as large as the picture makes it."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(conv(3, 8, 3, 2), conv(8, 8, 3, 2), conv(8, 8, 3, 2))
            self.head = nn.Conv2d(8, 3 * 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            offsets = self.head(self.features(x))
            batch, _, rows, columns = offsets.shape
            offsets = offsets.view(batch, 3, 4, rows, columns).permute(0, 3, 4, 1, 2)
            y, xs = torch.meshgrid(
                torch.arange(rows) * 8.0, torch.arange(columns) * 8.0, indexing="ij"
            )
            centres = torch.stack([xs, y], -1)[:, :, None]
            sides = torch.tensor([16.0, 24.0, 32.0])[:, None]
            place = centres + offsets[..., :2] * sides
            size = offsets[..., 2:].clamp(max=math.log(62.5)).exp() * sides
            return torch.cat([place - size / 2, place + size / 2], -1).flatten(1, 3)

    return Net()


@entry("x:float32[batch,4,height=16,width=16]", "t:int64[batch]")
def diffusion_unet() -> nn.Module:
    """A U-Net that takes noise away (Ho et al. 2020): time embedded, attention in the middle."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.time = nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 16))
            self.first = nn.Conv2d(4, 16, 3, padding=1)
            self.norm, self.down = nn.GroupNorm(4, 16), nn.Conv2d(16, 16, 3, 2, 1)
            self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
            self.last = nn.Conv2d(32, 4, 3, padding=1)

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            rates = torch.exp(-math.log(10000) * torch.arange(8) / 8)
            angles = t[:, None].float() * rates
            time = self.time(torch.cat([angles.sin(), angles.cos()], -1))
            first = self.first(x)
            h = F.silu(self.norm(first) + time[:, :, None, None])
            low = self.down(h)
            batch, width, rows, columns = low.shape
            tokens = low.flatten(2).transpose(1, 2)
            tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
            low = tokens.transpose(1, 2).reshape(batch, width, rows, columns)
            up = F.interpolate(low, size=first.shape[-2:], mode="nearest")
            return self.last(torch.cat([up, first], 1))

    return Net()


@entry("x:float32[batch,4,height=16,width=16]", "t:float32[batch]", "label:int64[batch]")
def diffusion_transformer() -> nn.Module:
    """DiT (Peebles and Xie 2022): blocks that time and label scale and shift."""

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(width, elementwise_affine=False)
            self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
            self.net = nn.Sequential(nn.Linear(width, 64), nn.GELU("tanh"), nn.Linear(64, width))
            self.shifts = nn.Linear(width, 6 * width)

        def forward(self, x: Tensor, given: Tensor) -> Tensor:
            a, b, c, d, e, f = self.shifts(F.silu(given))[:, None].chunk(6, -1)
            h = self.norm(x) * (1 + a) + b
            x = x + c * self.attention(h, h, h, need_weights=False)[0]
            return x + f * self.net(self.norm(x) * (1 + d) + e)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.label = nn.Conv2d(4, 16, 2, 2), nn.Embedding(11, 16)
            self.blocks = nn.ModuleList(Block(16) for _ in range(2))
            self.last = nn.Linear(16, 16)

        def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
            batch, _, height, width = x.shape
            angles = t[:, None] * torch.exp(-torch.arange(8) / 2)
            given = torch.cat([angles.sin(), angles.cos()], -1) + self.label(label)
            tokens = self.patches(x).flatten(2).transpose(1, 2)
            for block in self.blocks:
                tokens = block(tokens, given)
            parts = self.last(tokens).view(batch, height // 2, width // 2, 2, 2, 4)
            return parts.permute(0, 5, 1, 3, 2, 4).reshape(batch, 4, height, width)

    return Net()


@entry("x:float32[batch,3,height=32,width=32]")
def fourier_operator() -> nn.Module:
    """A spectral convolution (Li et al. 2021), whose waves are written into complex zeros."""

    class Operator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Parameter(torch.randn(3, 8, 4, 4, 2) / 4)
            self.beside, self.head = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            waves = torch.fft.rfft2(x, norm="ortho")
            mixed = torch.zeros(x.shape[0], 8, *waves.shape[2:], dtype=torch.cfloat)
            mix = torch.view_as_complex(self.mix)
            low = torch.einsum("bihw,iohw->bohw", waves[:, :, :4, :4], mix)
            mixed[:, :, :4, :4] = low
            back = torch.fft.irfft2(mixed, s=x.shape[-2:], norm="ortho")
            return self.head(F.gelu(back + self.beside(x)))

    return Operator()


@entry("x:float32[batch,3,height=16,width=16]")
def warped() -> nn.Module:
    """A picture sampled where a net moves its pixels to, and enlarged."""

    class Warped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flow = nn.Conv2d(3, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            height, width = x.shape[-2:]
            rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
            grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
            moved = grid + 0.3 * torch.tanh(self.flow(x)).permute(0, 2, 3, 1)
            y = F.grid_sample(x, moved, padding_mode="border", align_corners=True)
            size = [2 * height, 3 * width]
            return F.interpolate(y, size=size, mode="bicubic", align_corners=True)

    return Warped()
