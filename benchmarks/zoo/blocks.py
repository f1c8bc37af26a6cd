"""Blocks of torch.nn, each in a small net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.zoo.entry import entry

SIGNAL = "x:float32[batch,8,length=40]"
PICTURE = "x:float32[batch,3,height=32,width=24]"
SEQUENCE = "x:float32[batch,seq=12,16]"


@entry("x:float32[batch,16]")
def dense() -> nn.Module:
    """Dense layers with ReLU."""
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4), nn.Softmax(-1))


@entry("x:float32[batch,16]")
def activations() -> nn.Module:
    """Most activations of torch.nn, one after the other."""
    kinds = (
        nn.GELU(),
        nn.SiLU(),
        nn.Mish(),
        nn.ELU(),
        nn.SELU(),
        nn.CELU(),
        nn.Hardswish(),
        nn.Hardsigmoid(),
        nn.Softplus(),
        nn.Softsign(),
        nn.Tanhshrink(),
        nn.LeakyReLU(),
        nn.PReLU(16),
        nn.LogSigmoid(),
        nn.Hardtanh(),
        nn.Softshrink(),
        nn.Hardshrink(),
        nn.Threshold(-0.1, 0.2),
        nn.ReLU6(),
        nn.GELU(approximate="tanh"),
    )
    layers: list[nn.Module] = []
    for kind in kinds:
        layers += [nn.Linear(16, 16), kind]
    return nn.Sequential(*layers)


@entry(SIGNAL)
def conv1d() -> nn.Module:
    """Strided and dilated convolutions over a signal."""
    return nn.Sequential(
        nn.Conv1d(8, 16, 5, stride=2, padding=2),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Conv1d(16, 16, 3, dilation=2, padding=2, groups=4),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


@entry("x:float32[batch,2,depth=8,height=16,width=12]")
def conv3d() -> nn.Module:
    """Convolutions over volumes."""
    return nn.Sequential(
        nn.Conv3d(2, 8, 3, padding=1),
        nn.BatchNorm3d(8),
        nn.ReLU(),
        nn.MaxPool3d(2),
        nn.Conv3d(8, 8, 3, padding=1),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
    )


@entry(PICTURE)
def transposed() -> nn.Module:
    """Convolutions that halve a picture, and transposed ones that double it again."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1),
        nn.ConvTranspose2d(8, 3, 3, stride=2, padding=1, output_padding=1),
    )


@entry(PICTURE)
def norms() -> nn.Module:
    """Batch, group, instance and local response normalization."""
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.GroupNorm(4, 12),
        nn.InstanceNorm2d(12, affine=True),
        nn.LocalResponseNorm(3),
        nn.Conv2d(12, 4, 1),
    )


@entry(PICTURE)
def pools() -> nn.Module:
    """Pools of several kinds, side by side."""

    class Pools(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            return (
                F.max_pool2d(x, 3, stride=2, padding=1),
                F.max_pool2d(x, 2, ceil_mode=True),
                F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False),
                F.lp_pool2d(x, 2, 2),
                F.adaptive_max_pool2d(x, 1),
            )

    return Pools()


@entry(PICTURE)
def resized() -> nn.Module:
    """Resizing by nearest neighbour, bilinear and bicubic; pixel shuffle."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(3, 16, 3, padding=1),
        nn.PixelShuffle(2),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        nn.PixelUnshuffle(2),
        nn.Upsample(scale_factor=0.5, mode="bicubic", align_corners=False),
    )


@entry(PICTURE)
def padded() -> nn.Module:
    """Padding with zeros, by reflection, by the edge and around."""
    return nn.Sequential(
        nn.ZeroPad2d(1),
        nn.Conv2d(3, 4, 3),
        nn.ReflectionPad2d(2),
        nn.Conv2d(4, 4, 3),
        nn.ReplicationPad2d((1, 2, 1, 2)),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
    )


@entry(PICTURE)
def adaptive_pools() -> nn.Module:
    """Pools to a fixed number of cells, whatever the picture's size."""

    class Adaptive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Conv2d(3, 6, 3, padding=1)
            self.head = nn.Linear(6 * 4, 5)

        def forward(self, x: Tensor) -> Tensor:
            cells = F.adaptive_avg_pool2d(self.features(x), 2)
            return self.head(cells.flatten(1))

    return Adaptive()


class Last(nn.Module):
    """The outputs of a recurrent layer, and a head on the last of them."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        outputs, _ = self.layer(x)
        return outputs, self.head(outputs[:, -1])


@entry(SEQUENCE)
def lstm() -> nn.Module:
    """Two layers of LSTM."""
    return Last(nn.LSTM(16, 24, num_layers=2, batch_first=True), 24)


@entry(SEQUENCE)
def bilstm() -> nn.Module:
    """An LSTM in both directions."""
    return Last(nn.LSTM(16, 24, bidirectional=True, batch_first=True), 48)


@entry(SEQUENCE)
def gru() -> nn.Module:
    """Two layers of GRU in both directions."""
    return Last(nn.GRU(16, 24, num_layers=2, bidirectional=True, batch_first=True), 48)


@entry(SEQUENCE)
def rnn() -> nn.Module:
    """An Elman net."""
    return Last(nn.RNN(16, 24, batch_first=True), 24)


@entry(SEQUENCE, "h:float32[1,batch,24]", "c:float32[1,batch,24]")
def lstm_with_state() -> nn.Module:
    """An LSTM whose state comes in and goes out."""

    class Stepped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(16, 24, batch_first=True)

        def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            outputs, state = self.layer(x, (h, c))
            return outputs, state

    return Stepped()


@entry("x:float32[batch,16]", "h:float32[batch,24]")
def gru_cell() -> nn.Module:
    """One step of a GRU."""

    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(16, 24)

        def forward(self, x: Tensor, h: Tensor) -> Tensor:
            return self.cell(x, h)

    return Step()


@entry("src:float32[batch,seq=12,16]")
def encoder_layers() -> nn.Module:
    """nn.TransformerEncoder, normalization first."""
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


@entry("src:float32[batch,seq=12,16]", "src_key_padding_mask:bool[batch,seq]")
def encoder_with_padding() -> nn.Module:
    """nn.TransformerEncoder with a mask of the padding."""

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

        def forward(self, src: Tensor, src_key_padding_mask: Tensor) -> Tensor:
            return self.encoder(src, src_key_padding_mask=src_key_padding_mask)

    return Padded()


@entry("tgt:float32[batch,seq=6,16]", "memory:float32[batch,source=12,16]")
def decoder_layers() -> nn.Module:
    """nn.TransformerDecoder."""
    return nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 4, 32, batch_first=True), 2)


@entry("src:float32[batch,source=10,16]", "tgt:float32[batch,seq=6,16]")
def transformer() -> nn.Module:
    """nn.Transformer, whole."""
    return nn.Transformer(16, 4, 2, 2, 32, batch_first=True)


@entry(SEQUENCE)
def attention() -> nn.Module:
    """nn.MultiheadAttention of a sequence to itself, with its weights."""

    class Self(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.MultiheadAttention(16, 4, batch_first=True)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.layer(x, x, x)

    return Self()


@entry(SEQUENCE)
def causal_attention() -> nn.Module:
    """F.scaled_dot_product_attention, causal."""

    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.Linear(16, 48)

        def forward(self, x: Tensor) -> Tensor:
            batch, seq, _ = x.shape
            q, k, v = self.parts(x).view(batch, seq, 3, 4, 4).permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return mixed.transpose(1, 2).reshape(batch, seq, 16)

    return Causal()


@entry("ids:int64[batch,seq=9]")
def embedding_bag() -> nn.Module:
    """The mean of a table's rows, by bags of one length."""

    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bag = nn.EmbeddingBag(50, 8, mode="mean")

        def forward(self, ids: Tensor) -> Tensor:
            return self.bag(ids)

    return Bag()


@entry("a:float32[batch,10]", "b:float32[batch,10]")
def pairs() -> nn.Module:
    """nn.Bilinear, cosine similarity and a pairwise distance."""

    class Pairs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bilinear = nn.Bilinear(10, 10, 4)

        def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return self.bilinear(a, b), F.cosine_similarity(a, b), F.pairwise_distance(a, b)

    return Pairs()


@entry("ids:int64[batch,seq=9]")
def embedded_rms() -> nn.Module:
    """Embeddings with a padding row, RMS normalization, tied weights."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(50, 16, padding_idx=0)
            self.norm = nn.RMSNorm(16)

        def forward(self, ids: Tensor) -> Tensor:
            return F.linear(self.norm(self.table(ids)), self.table.weight)

    return Tied()


@entry("x:float32[batch,4,height=16,width=16]", "grid:float32[batch,rows=8,columns=8,2]")
def sampled() -> nn.Module:
    """F.grid_sample, bilinear."""

    class Sampled(nn.Module):
        def forward(self, x: Tensor, grid: Tensor) -> Tensor:
            return F.grid_sample(x, grid * 2 - 1, align_corners=False)

    return Sampled()


@entry(PICTURE)
def patches() -> nn.Module:
    """F.unfold and F.fold over a picture."""

    class Patches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            height, width = x.shape[-2:]
            columns = F.unfold(x, 3, padding=1)
            return F.fold(columns * 0.5, (height, width), 3, padding=1)

    return Patches()


@entry("x:float32[batch,seq=10,8]", "lengths:int64[batch]")
def masked_mean() -> nn.Module:
    """The mean over the positions within each row's length."""

    class Mean(nn.Module):
        def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
            inside = torch.arange(x.shape[1]) < lengths[:, None]
            kept = (x * inside[..., None]).sum(1)
            return kept / lengths.clamp(min=1)[:, None]

    return Mean()


@entry("x:float32[batch,seq=10,8]")
def sorted_and_gathered() -> nn.Module:
    """Sorting, top-k, gathering and scattering."""

    class Gathered(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            ordered, places = x.sort(1, descending=True)
            best, at = x.topk(2, dim=1)
            back = torch.zeros_like(x).scatter(1, places, ordered)
            return x.gather(1, at) + best, back, x.argmax(1)

    return Gathered()


@entry("x:float32[rows=6,columns=9]")
def einsums() -> nn.Module:
    """Einstein sums, norms, cumulative sums and triangles."""

    class Sums(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            squares = torch.einsum("ij,kj->ik", x, x)
            return squares, x.cumsum(0), squares.tril(), torch.linalg.vector_norm(x, dim=1)

    return Sums()


@entry("x:float32[batch,3,height=24,width=32]")
def areas() -> nn.Module:
    """Means of areas, to half of a picture and to a given size."""

    class Areas(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            half = F.interpolate(x, scale_factor=0.5, mode="area")
            return half, F.interpolate(x, size=(5, 7), mode="area")

    return Areas()


@entry("x:float32[batch,height=16,width=12,8]")
def padded_windows() -> nn.Module:
    """Windows of a picture, which is padded where it is no multiple of them."""

    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            batch, height, width, _ = x.shape
            below, beside = -height % 4, -width % 4
            if below or beside:
                x = F.pad(x, (0, 0, 0, beside, 0, below))
            rows, columns = (height + below) // 4, (width + beside) // 4
            parts = x.view(batch, rows, 4, columns, 4, 8).transpose(2, 3).flatten(3, 4)
            mixed = self.mix(parts) + parts.mean(3, keepdim=True)
            whole = mixed.unflatten(3, (4, 4)).transpose(2, 3).reshape(batch, 4 * rows, -1, 8)
            return whole[:, :height, :width] if below or beside else whole

    return Windows()
