"""Nets over sequences: recurrent, attention, state spaces, experts, audio and time series."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.zoo.entry import entry

IDS = "ids:int64[batch,seq=12]"
SERIES = "x:float32[batch,seq=24,4]"


class Texts(nn.Module):
    """Embeds ids, passes them through a net, and scores each position."""

    def __init__(self, net: nn.Module, width: int = 16, vocabulary: int = 60) -> None:
        super().__init__()
        self.table, self.net, self.head = (
            nn.Embedding(vocabulary, width),
            net,
            nn.Linear(width, vocabulary),
        )

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.net(self.table(ids)))


class First(nn.Module):
    """The first of what a layer gives."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


@entry(IDS)
def character_lstm() -> nn.Module:
    """A language model of characters by LSTM."""
    return Texts(First(nn.LSTM(16, 16, 2, batch_first=True)))


@entry(IDS)
def text_convolutions() -> nn.Module:
    """TextCNN (Kim 2014): the largest over time of several widths."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(60, 16)
            self.widths = nn.ModuleList(nn.Conv1d(16, 8, n, padding=n - 1) for n in (2, 3, 4))
            self.head = nn.Linear(24, 3)

        def forward(self, ids: Tensor) -> Tensor:
            x = self.table(ids).transpose(1, 2)
            return self.head(torch.cat([F.relu(w(x)).amax(2) for w in self.widths], 1))

    return Net()


@entry(IDS)
def bag_of_words() -> nn.Module:
    """fastText (Joulin et al. 2016): the mean of the words that are no padding."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(60, 16, padding_idx=0), nn.Linear(16, 4)

        def forward(self, ids: Tensor) -> Tensor:
            count = (ids != 0).sum(1, keepdim=True).clamp(min=1)
            return self.head(self.table(ids).sum(1) / count).log_softmax(-1)

    return Net()


@entry("ids:int64[batch,source=10]", "target:int64[batch,seq=6]")
def translation() -> nn.Module:
    """A GRU that reads and one that writes, with attention (Bahdanau et al. 2014)."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.out = nn.Embedding(60, 16), nn.Linear(32, 60)
            self.reader = nn.GRU(16, 16, batch_first=True)
            self.writer = nn.GRU(16, 16, batch_first=True)

        def forward(self, ids: Tensor, target: Tensor) -> Tensor:
            read, state = self.reader(self.table(ids))
            written, _ = self.writer(self.table(target), state)
            weights = torch.bmm(written, read.transpose(1, 2)).softmax(-1)
            return self.out(torch.cat([written, torch.bmm(weights, read)], -1))

    return Net()


@entry("x:float32[batch,seq=10,16]", "lengths:int64[batch]")
def pooled_attention() -> nn.Module:
    """Attention pooling over positions within each length."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score, self.head = nn.Linear(16, 1), nn.Linear(16, 3)

        def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
            outside = torch.arange(x.shape[1]) >= lengths.clamp(min=1)[:, None]
            scores = self.score(x).squeeze(-1).masked_fill(outside, float("-inf"))
            return self.head((scores.softmax(-1)[..., None] * x).sum(1))

    return Net()


class Rotary(nn.Module):
    """Self-attention with positions that rotate (Su et al. 2021), causal, grouped."""

    rates: Tensor

    def __init__(self, width: int = 16, heads: int = 4, groups: int = 2) -> None:
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, width // heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * groups * self.size, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        rates = 10000 ** (-torch.arange(0, self.size, 2) / self.size)
        self.register_buffer("rates", rates, persistent=False)

    def rotate(self, x: Tensor) -> Tensor:
        angles = torch.arange(x.shape[2])[:, None] * self.rates
        sine, cosine = angles.sin(), angles.cos()
        a, b = x.chunk(2, -1)
        return torch.cat([a * cosine - b * sine, b * cosine + a * sine], -1)

    def forward(self, x: Tensor) -> Tensor:
        batch, seq, _ = x.shape
        q = self.q(x).view(batch, seq, self.heads, self.size).transpose(1, 2)
        k, v = self.kv(x).view(batch, seq, 2, self.groups, self.size).permute(2, 0, 3, 1, 4)
        k = k.repeat_interleave(self.heads // self.groups, 1)
        v = v.repeat_interleave(self.heads // self.groups, 1)
        mixed = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True)
        return x + self.out(mixed.transpose(1, 2).reshape(batch, seq, -1))


@entry(IDS)
def rotary_decoder() -> nn.Module:
    """A decoder of rotary attention, grouped queries and gated nets."""

    class Gated(nn.Module):
        def __init__(self, width: int = 16) -> None:
            super().__init__()
            self.norm, self.wide = nn.RMSNorm(width), nn.Linear(width, 64)
            self.narrow = nn.Linear(32, width)

        def forward(self, x: Tensor) -> Tensor:
            gate, value = self.wide(self.norm(x)).chunk(2, -1)
            return x + self.narrow(F.silu(gate) * value)

    return Texts(nn.Sequential(Rotary(), Gated(), Rotary(), Gated()))


@entry(IDS)
def complex_rotary() -> nn.Module:
    """Rotation by products of complex numbers, as Llama's first code had it."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(60, 16)
            self.rates = 10000 ** (-torch.arange(0, 16, 2) / 16)

        def forward(self, ids: Tensor) -> Tensor:
            x = self.table(ids)
            angles = torch.outer(torch.arange(ids.shape[1]).float(), self.rates)
            turned = torch.view_as_complex(x.unflatten(-1, (8, 2))) * torch.polar(
                torch.ones_like(angles), angles
            )
            return torch.view_as_real(turned).flatten(2)

    return Net()


@entry(IDS)
def alibi() -> nn.Module:
    """Attention with linear biases (Press et al. 2021)."""

    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.Linear(16, 48)

        def forward(self, x: Tensor) -> Tensor:
            batch, seq, _ = x.shape
            q, k, v = self.parts(x).view(batch, seq, 3, 4, 4).permute(2, 0, 3, 1, 4)
            places = torch.arange(seq)
            distance = (places[None] - places[:, None]).float()
            slopes = 2.0 ** -torch.arange(1, 5).float()
            bias = distance * slopes[:, None, None]
            bias = bias.masked_fill(distance > 0, float("-inf"))
            weights = (q @ k.transpose(-1, -2) / 2 + bias).softmax(-1)
            return (weights @ v).transpose(1, 2).reshape(batch, seq, 16)

    return Texts(Biased())


@entry(IDS)
def relative_positions() -> nn.Module:
    """Attention with buckets of relative positions, as T5 has them (Raffel et al. 2019)."""

    class Relative(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias, self.parts = nn.Embedding(8, 4), nn.Linear(16, 48)

        def forward(self, x: Tensor) -> Tensor:
            batch, seq, _ = x.shape
            q, k, v = self.parts(x).view(batch, seq, 3, 4, 4).permute(2, 0, 3, 1, 4)
            places = torch.arange(seq)
            far = (places[None] - places[:, None]).abs()
            log = 4 + (far.clamp(min=4).float() / 4).log() / math.log(8) * 4
            bucket = torch.where(far < 4, far, log.long().clamp(max=7))
            bias = self.bias(bucket).permute(2, 0, 1)
            return ((q @ k.mT / 2 + bias).softmax(-1) @ v).transpose(1, 2).reshape(batch, seq, 16)

    return Texts(Relative())


@entry(IDS)
def linear_attention() -> nn.Module:
    """Linear attention (Katharopoulos et al. 2020) by cumulative sums."""

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.Linear(16, 48)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = self.parts(x).chunk(3, -1)
            q, k = F.elu(q) + 1, F.elu(k) + 1
            sums = torch.einsum("bsi,bsj->bsij", k, v).cumsum(1)
            total = torch.einsum("bsi,bsi->bs", q, k.cumsum(1))
            return torch.einsum("bsi,bsij->bsj", q, sums) / total[..., None]

    return Texts(Linear())


@entry(IDS)
def retention() -> nn.Module:
    """Retention (Sun et al. 2023) in its parallel form."""

    class Retained(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts, self.norm = nn.Linear(16, 48), nn.GroupNorm(4, 16)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = self.parts(x).chunk(3, -1)
            places = torch.arange(x.shape[1])
            ages = (places[:, None] - places[None]).float()
            decay = torch.where(ages >= 0, 0.9**ages, torch.zeros(()))
            y = (q @ k.transpose(1, 2) * decay) @ v
            return self.norm(y.flatten(0, 1)).view_as(y)

    return Texts(Retained())


@entry("x:float32[batch,24,4]")
def selective_scan() -> nn.Module:
    """Mamba's selective scan (Gu and Dao 2023), by a loop over a fixed length."""

    class Scan(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rate = nn.Parameter(-torch.rand(4, 6))
            self.step, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 6), nn.Linear(4, 6)

        def forward(self, x: Tensor) -> Tensor:
            step, b, c = F.softplus(self.step(x)), self.b(x), self.c(x)
            state, outputs = x.new_zeros(x.shape[0], 4, 6), []
            for t in range(x.shape[1]):
                kept = torch.exp(step[:, t, :, None] * self.rate)
                state = kept * state + step[:, t, :, None] * b[:, t, None] * x[:, t, :, None]
                outputs.append((state * c[:, t, None]).sum(-1))
            return torch.stack(outputs, 1)

    return Scan()


@entry("x:float32[batch,seq=24,4]")
def state_space_kernel() -> nn.Module:
    """A diagonal state space (Gu et al. 2022) as a convolution by Fourier transforms."""

    class Kernel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rate, self.gain = nn.Parameter(torch.rand(4, 6)), nn.Parameter(torch.randn(4, 6))

        def forward(self, x: Tensor) -> Tensor:
            seq = x.shape[1]
            powers = torch.exp(-self.rate[..., None] * torch.arange(seq))
            kernel = (self.gain[..., None] * powers).sum(1)
            wide = torch.fft.rfft(x.transpose(1, 2), n=2 * seq) * torch.fft.rfft(kernel, n=2 * seq)
            return torch.fft.irfft(wide, n=2 * seq)[..., :seq].transpose(1, 2)

    return Kernel()


@entry(SERIES)
def scanned() -> nn.Module:
    """A gated recurrence over a free length by torch's scan."""
    from torch._higher_order_ops.scan import scan

    class Scanned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            gates = self.gate(x).sigmoid().transpose(0, 1)

            def step(state: Tensor, each: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
                gate, value = each
                state = gate * state + (1 - gate) * value
                return state, state.clone()

            _, states = scan(step, x.new_zeros(x.shape[0], 4), (gates, x.transpose(0, 1)))
            return states.transpose(0, 1)

    return Scanned()


@entry(IDS)
def dense_experts() -> nn.Module:
    """A mixture of experts of which each sees every token."""

    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(16, 4)
            self.experts = nn.ModuleList(nn.Linear(16, 16) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            best, chosen = self.gate(x).softmax(-1).topk(2, -1)
            weights = torch.zeros_like(self.gate(x)).scatter(-1, chosen, best)
            outputs = torch.stack([expert(x) for expert in self.experts], -1)
            return (outputs * weights[..., None, :]).sum(-1)

    return Texts(Mixture())


@entry(IDS)
def gathered_experts() -> nn.Module:
    """A mixture of experts whose weights are gathered for each token."""

    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.weights = nn.Linear(16, 4), nn.Parameter(torch.randn(4, 16, 16) / 4)

        def forward(self, x: Tensor) -> Tensor:
            scores, chosen = self.gate(x).softmax(-1).max(-1)
            return torch.einsum("bsi,bsij->bsj", x, self.weights[chosen]) * scores[..., None]

    return Texts(Mixture())


@entry("wave:float32[batch,samples=800]")
def spectrogram() -> nn.Module:
    """A mel spectrogram by torch.stft."""

    class Mel(nn.Module):
        window: Tensor
        bands: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("window", torch.hann_window(128))
            self.register_buffer("bands", torch.rand(65, 20))

        def forward(self, wave: Tensor) -> Tensor:
            spectrum = torch.stft(wave, 128, 64, window=self.window, return_complex=True)
            return (spectrum.abs().pow(2).transpose(1, 2) @ self.bands).clamp(min=1e-5).log()

    return Mel()


@entry("wave:float32[batch,1,samples=800]")
def wave_net() -> nn.Module:
    """WaveNet (van den Oord et al. 2016): gated, dilated, causal."""

    class Layer(nn.Module):
        def __init__(self, dilation: int) -> None:
            super().__init__()
            self.dilation = dilation
            self.conv, self.out = nn.Conv1d(8, 16, 2, dilation=dilation), nn.Conv1d(8, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            a, b = self.conv(F.pad(x, (self.dilation, 0))).chunk(2, 1)
            return x + self.out(a.tanh() * b.sigmoid())

    return nn.Sequential(nn.Conv1d(1, 8, 1), *(Layer(2**n) for n in range(4)), nn.Conv1d(8, 4, 1))


@entry("features:float32[batch,frames=60,20]")
def speech_recognition() -> nn.Module:
    """Convolutions, a GRU in both directions and scores of letters (Amodei et al. 2015)."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, (11, 5), (2, 2), (5, 2))
            self.rnn = nn.GRU(40, 16, bidirectional=True, batch_first=True)
            self.head = nn.Linear(32, 28)

        def forward(self, features: Tensor) -> Tensor:
            x = F.hardtanh(self.conv(features[:, None]), 0, 20)
            x = x.permute(0, 2, 1, 3).flatten(2)
            return self.head(self.rnn(x)[0]).log_softmax(-1)

    return Net()


@entry("features:float32[batch,frames=40,16]")
def conformer() -> nn.Module:
    """A conformer block (Gulati et al. 2020)."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
            self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
            self.wide, self.depth = nn.Conv1d(16, 32, 1), nn.Conv1d(16, 16, 7, padding=3, groups=16)
            self.batch, self.narrow = nn.BatchNorm1d(16), nn.Conv1d(16, 16, 1)

        def forward(self, features: Tensor) -> Tensor:
            x = self.norm(features)
            x = features + self.attention(x, x, x, need_weights=False)[0]
            y = F.glu(self.wide(self.norm2(x).transpose(1, 2)), 1)
            return x + self.narrow(F.silu(self.batch(self.depth(y)))).transpose(1, 2)

    return nn.Sequential(Block(), Block())


@entry("wave:float32[batch,1,samples=640]")
def codec() -> nn.Module:
    """An audio codec (Zeghidour et al. 2021): strided convolutions, the nearest row of a table."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Sequential(nn.Conv1d(1, 8, 8, 4, 2), nn.ELU(), nn.Conv1d(8, 8, 8, 4, 2))
            self.up = nn.Sequential(
                nn.ConvTranspose1d(8, 8, 8, 4, 2), nn.ELU(), nn.ConvTranspose1d(8, 1, 8, 4, 2)
            )
            self.table = nn.Parameter(torch.randn(32, 8))

        def forward(self, wave: Tensor) -> tuple[Tensor, Tensor]:
            x = self.down(wave).transpose(1, 2)
            far = (x[:, :, None] - self.table).pow(2).sum(-1)
            codes = far.argmin(-1)
            return codes, self.up(self.table[codes].transpose(1, 2))

    return Net()


@entry(SERIES)
def temporal_convolutions() -> nn.Module:
    """A temporal convolutional net (Bai et al. 2018): causal by cutting what stands beyond."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(
                nn.Conv1d(4, 4, 3, padding=2 * d, dilation=d) for d in (1, 2, 4)
            )

        def forward(self, x: Tensor) -> Tensor:
            x = x.transpose(1, 2)
            for layer in self.layers:
                x = x + F.relu(layer(x)[..., : x.shape[-1]])
            return x.transpose(1, 2)

    return Net()


@entry("x:float32[batch,24]")
def nbeats() -> nn.Module:
    """N-BEATS (Oreshkin et al. 2019): each block takes away what it explains."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(
                nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 30)) for _ in range(3)
            )

        def forward(self, x: Tensor) -> Tensor:
            forecast = torch.zeros(x.shape[0], 6)
            for block in self.blocks:
                explained, ahead = block(x).split([24, 6], -1)
                x, forecast = x - explained, forecast + ahead
            return forecast

    return Net()


@entry("x:float32[batch,24,channels=4]")
def decomposed_linear() -> nn.Module:
    """DLinear (Zeng et al. 2022): a moving mean and the rest, each by one layer."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trend, self.season = nn.Linear(24, 6), nn.Linear(24, 6)

        def forward(self, x: Tensor) -> Tensor:
            x = x.transpose(1, 2)
            mean = F.avg_pool1d(F.pad(x, (2, 2), mode="replicate"), 5, 1)
            return (self.trend(mean) + self.season(x - mean)).transpose(1, 2)

    return Net()


@entry("x:float32[batch,channels=3,seq=32]")
def patched_series() -> nn.Module:
    """PatchTST (Nie et al. 2022): patches of a series by unfold, each channel alone."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(8, 16)
            self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
            self.head = nn.Linear(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            batch, channels, _ = x.shape
            mean = x.mean(-1, keepdim=True)
            spread = (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
            pieces = ((x - mean) / spread).unfold(-1, 8, 4).flatten(0, 1)
            y = self.head(self.layer(self.inner(pieces)).mean(1)).view(batch, channels, 4)
            return y * spread + mean

    return Net()


@entry(SERIES)
def fourier_mixing() -> nn.Module:
    """FNet (Lee-Thorp et al. 2021): the real part of a Fourier transform mixes tokens."""

    class Mix(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.net = nn.LayerNorm(4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(self.norm(x + torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real))

    return Mix()


@entry("x:float32[batch,seq=16,8]", "target:float32[batch,4]")
def pointer() -> nn.Module:
    """A pointer network's step (Vinyals et al. 2015): the place of the best match, one-hot."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.v = nn.Linear(8, 6), nn.Linear(4, 6), nn.Linear(6, 1)

        def forward(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
            scores = self.v(torch.tanh(self.a(x) + self.b(target)[:, None])).squeeze(-1)
            place = scores.argmax(-1)
            return scores.log_softmax(-1), (torch.arange(x.shape[1]) == place[:, None]).float()

    return Net()


@entry("scores:float32[batch,10,5]")
def best_path() -> nn.Module:
    """Viterbi's best path over a fixed length, as a tagger has it."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.moves = nn.Parameter(torch.randn(5, 5))

        def forward(self, scores: Tensor) -> Tensor:
            best, back = scores[:, 0], []
            for t in range(1, scores.shape[1]):
                best, came = (best[:, :, None] + self.moves).max(1)
                best = best + scores[:, t]
                back.append(came)
            path = [best.argmax(-1, keepdim=True)]
            for came in reversed(back):
                path.insert(0, came.gather(1, path[0]))
            return torch.cat(path, 1)

    return Net()


@entry(SERIES)
def spectral_filter() -> nn.Module:
    """A learned filter of the waves of a series (Rao et al. 2021), and the series turned round."""

    class Filter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fall, self.head = nn.Parameter(torch.rand(4)), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            waves = torch.fft.rfft(x, dim=1)
            fall = torch.exp(-self.fall * torch.arange(waves.shape[1])[:, None])
            smooth = torch.fft.irfft(waves * fall, n=x.shape[1], dim=1)
            return self.head(torch.cat([smooth, x.roll(x.shape[1] // 2, 1)], -1))

    return Filter()


@entry("x:float32[batch,8,frames=20]")
def vocoder() -> nn.Module:
    """A vocoder's layers, whose weights are normalized by attributes (nn.utils.weight_norm)."""
    return nn.Sequential(
        nn.utils.weight_norm(nn.Conv1d(8, 16, 7, padding=3)),
        nn.LeakyReLU(0.1),
        nn.utils.weight_norm(nn.ConvTranspose1d(16, 8, 4, stride=2, padding=1)),
        nn.LeakyReLU(0.1),
        nn.utils.weight_norm(nn.Conv1d(8, 1, 7, padding=3)),
        nn.Tanh(),
    )


@entry("x:float32[batch,seq=10,16]", "lengths:int64[batch]")
def packed_gru() -> nn.Module:
    """The last state of a GRU over packed sequences."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.GRU(16, 8, batch_first=True), nn.Linear(8, 3)

        def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
            ends = lengths.clamp(min=1, max=x.shape[1])
            packed = nn.utils.rnn.pack_padded_sequence(
                x, ends, batch_first=True, enforce_sorted=False
            )
            return self.head(self.layer(packed)[1][-1])

    return Net()


@entry("x:float32[batch,seq=10,16]")
def projected_lstm() -> nn.Module:
    """Two layers of an LSTM with projections, in both directions."""
    layer = nn.LSTM(16, 12, 2, proj_size=5, bidirectional=True, batch_first=True)
    return First(layer)


@entry("wave:float32[batch,samples=2000]")
def masked_spectrogram() -> nn.Module:
    """A mask over the waves of a sound, which become a sound again, as denoisers have it."""

    class Net(nn.Module):
        window: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("window", torch.hann_window(64))
            self.mask = nn.Linear(33, 33)

        def forward(self, wave: Tensor) -> Tensor:
            waves = torch.stft(wave, 64, 16, window=self.window, return_complex=True)
            mask = self.mask(waves.abs().mT).sigmoid().mT
            length = wave.shape[-1]
            return torch.istft(waves * mask, 64, 16, window=self.window, length=length)

    return Net()


@entry("x:float32[batch,seq=12,8]")
def diagonal_states() -> nn.Module:
    """S4D's kernel of complex numbers (Gu et al. 2022), applied by Fourier transforms."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decay, self.turn = (nn.Parameter(torch.rand(8, 4)) for _ in range(2))
            self.out, self.step = nn.Parameter(torch.randn(8, 4, 2)), nn.Parameter(torch.rand(8))

        def forward(self, x: Tensor) -> Tensor:
            count = x.shape[1]
            states = -self.decay.exp() + 1j * self.turn
            moved = states * self.step.exp()[:, None]
            scale = torch.view_as_complex(self.out) * (moved.exp() - 1.0) / states
            powers = (moved[..., None] * torch.arange(count)).exp()
            kernel = 2 * torch.einsum("hn,hnl->hl", scale, powers).real
            waves = torch.fft.rfft(x.mT, n=2 * count) * torch.fft.rfft(kernel, n=2 * count)
            return torch.fft.irfft(waves, n=2 * count)[..., :count].mT

    return Net()


@entry("x:float32[batch,seq=8,16]")
def banded_attention() -> nn.Module:
    """Attention to the nearest positions, and the diagonal of its masked scores."""

    class Net(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            place = torch.arange(x.shape[1])
            far = (place[:, None] - place).abs() > 2
            scores = torch.einsum("bnd,bmd->bnm", x, x) / 4
            scores = scores.masked_fill(far, float("-inf"))
            return scores.softmax(-1) @ x, scores.diagonal(0, 1, 2)

    return Net()
