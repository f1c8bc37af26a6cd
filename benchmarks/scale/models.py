"""Models of real size, with seeded random weights: what the engine's cost is measured on.

Each factory gives a module whose inputs and outputs are flat tensors, and INPUTS has what
`toolkit export` is told of them:

    toolkit export benchmarks/scale/models.py:bert --input 'ids:int64[batch,seq=16]' \\
        --input 'mask:int64[batch,seq]' -o bert.onnx

Those of the transformers library have no cache, and are built from its configurations, since
nothing is downloaded. The convolutional nets and the experts are our own, after the papers that
their docstrings name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

SEED = 20261125

INPUTS: dict[str, tuple[str, ...]] = {
    "bert": ("ids:int64[batch,seq=16]", "mask:int64[batch,seq]"),
    "resnet50": ("pixels:float32[batch,3,224,224]",),
    "vit": ("pixels:float32[batch,3,224,224]",),
    "gpt2": ("ids:int64[batch,seq=16]", "mask:int64[batch,seq]"),
    "t5_encoder": ("ids:int64[batch,seq=16]", "mask:int64[batch,seq]"),
    "t5_decoder": (
        "ids:int64[batch,seq=8]",
        "encoded:float32[batch,source=16,512]",
        "mask:int64[batch,source]",
    ),
    "whisper_encoder": ("features:float32[batch,80,3000]",),
    "whisper_decoder": ("ids:int64[batch,seq=8]", "encoded:float32[batch,1500,384]"),
    "mobilenet": ("pixels:float32[batch,3,height=224,width=192]",),
    "detector": ("pixels:float32[3,height=320,width=256]",),
    "experts": ("ids:int64[batch,seq=16]",),
    "llama": ("ids:int64[batch,seq=16]", "mask:int64[batch,seq]"),
}
"""Factory → its inputs, as --input states them."""


class Called(nn.Module):
    """A model of transformers behind a forward of flat tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


class Masked(Called):
    """Takes ids and a mask of ones and zeros; gives the first output."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        output: Tensor = self.model(input_ids=ids, attention_mask=mask)[0]
        return output


class Uncached(Called):
    """A decoder of one text that keeps nothing from call to call."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        output: Tensor = self.model(input_ids=ids, attention_mask=mask, use_cache=False)[0]
        return output


class Pictured(Called):
    """Takes pictures; gives the first output."""

    def forward(self, pixels: Tensor) -> Tensor:
        output: Tensor = self.model(pixel_values=pixels)[0]
        return output


class Spectral(Called):
    """Takes spectra; gives the first output."""

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.model(input_features=features)[0]
        return output


class Decoding(Called):
    """A decoder over what an encoder gave, with the head that makes logits."""

    def __init__(self, model: nn.Module, head: nn.Module, scale: float = 1.0) -> None:
        super().__init__(model)
        self.head, self.scale = head, scale

    def hidden(self, ids: Tensor, encoded: Tensor, **masks: Tensor) -> Tensor:
        output: Tensor = self.model(
            input_ids=ids, encoder_hidden_states=encoded, use_cache=False, **masks
        )[0]
        return output

    def forward(self, ids: Tensor, encoded: Tensor) -> Tensor:
        logits: Tensor = self.head(self.hidden(ids, encoded) * self.scale)
        return logits


class MaskedDecoding(Decoding):
    """The same, with a mask over what the encoder gave."""

    def forward(self, ids: Tensor, encoded: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        hidden = self.hidden(ids, encoded, encoder_attention_mask=mask)
        logits: Tensor = self.head(hidden * self.scale)
        return logits


def bert() -> nn.Module:
    """BERT-base: 109 million weights."""
    import transformers as hf

    return _seeded(lambda: Masked(hf.BertModel(hf.BertConfig())))


def vit() -> nn.Module:
    """ViT-B/16 with its classifier: 86 million weights."""
    import transformers as hf

    config = hf.ViTConfig()
    config.num_labels = 1000
    return _seeded(lambda: Pictured(hf.ViTForImageClassification(config)))


def gpt2() -> nn.Module:
    """GPT-2: 124 million weights."""
    import transformers as hf

    return _seeded(lambda: Uncached(hf.GPT2LMHeadModel(hf.GPT2Config())))


def t5_encoder() -> nn.Module:
    """The encoder of T5-small, with the attention that torch 2.13 exports: 35 million weights."""
    import transformers as hf

    config = hf.T5Config()
    config._attn_implementation = "eager"
    return _seeded(lambda: Masked(hf.T5EncoderModel(config)))


def t5_decoder() -> nn.Module:
    """The decoder of T5-small with its logits, and such attention: 42 million weights."""
    import transformers as hf

    def make() -> nn.Module:
        config = hf.T5Config()
        config._attn_implementation = "eager"
        model = hf.T5ForConditionalGeneration(config)
        return MaskedDecoding(model.decoder, model.lm_head, config.d_model**-0.5)

    return _seeded(make)


def whisper_encoder() -> nn.Module:
    """The encoder of Whisper-tiny over 30 s: 8 million weights."""
    import transformers as hf

    return _seeded(lambda: Spectral(hf.WhisperModel(hf.WhisperConfig()).encoder))


def whisper_decoder() -> nn.Module:
    """The decoder of Whisper-tiny with its logits: 30 million weights."""
    import transformers as hf

    def make() -> nn.Module:
        model = hf.WhisperForConditionalGeneration(hf.WhisperConfig())
        return Decoding(model.model.decoder, model.proj_out)

    return _seeded(make)


def llama() -> nn.Module:
    """A decoder like Llama, in the size of TinyLlama: 1.1 billion weights.

    They repeat one block of random numbers: to draw them all takes a minute.
    """
    import transformers as hf
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = hf.LlamaConfig(
        vocab_size=32000,
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=22,
        num_attention_heads=32,
        num_key_value_heads=4,
        max_position_embeddings=2048,
    )
    with torch.device("meta"):
        model = hf.LlamaForCausalLM(config)
    model = model.to_empty(device="cpu")
    model.model.rotary_emb = LlamaRotaryEmbedding(config)  # Its table is computed, not learnt.
    _fill(model)
    return Uncached(model).eval()


def resnet50() -> nn.Module:
    """ResNet-50 (He et al., 2015), with the stride in the 3x3: 25.6 million weights."""

    def make() -> nn.Module:
        layers: list[nn.Module] = [*_conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
        width = 64
        for inner, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for number in range(count):
                layers.append(Bottleneck(width, inner, stride if number == 0 else 1))
                width = 4 * inner
        pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1000))
        return Pixels(nn.Sequential(*layers, *pool))

    return _calibrated(make, (4, 3, 224, 224))


def mobilenet() -> nn.Module:
    """A net like MobileNetV3-large (Howard et al., 2019), for pictures of any size: 5 million
    weights."""
    return _calibrated(lambda: Pixels(_mobile(classes=1000)), (8, 3, 224, 192))


def detector() -> nn.Module:
    """A detector in one stage over the same kind of net, for one picture of any size: boxes, their
    scores and their classes after NonMaxSuppression."""
    return _calibrated(Detector, (3, 640, 512))


def experts() -> nn.Module:
    """A transformer whose feed-forward parts are mixtures of eight experts, two for each token
    (Shazeer et al., 2017), all computed and weighted: 62 million weights."""
    return _seeded(Mixture)


class Pixels(nn.Module):
    """A net whose input is called pixels."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, pixels: Tensor) -> Tensor:
        output: Tensor = self.body(pixels)
        return output


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a shortcut."""

    def __init__(self, width: int, inner: int, stride: int) -> None:
        super().__init__()
        outer = 4 * inner
        self.body = nn.Sequential(
            *_conv(width, inner, 1),
            *_conv(inner, inner, 3, stride),
            *_conv(inner, outer, 1, act=None),
        )
        changed = stride > 1 or width != outer
        self.short = (
            nn.Sequential(*_conv(width, outer, 1, stride, act=None)) if changed else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.short(x))


class Squeeze(nn.Module):
    """Weighs channels by what is in all of them (Hu et al., 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(width, width // 4, 1),
            nn.ReLU(),
            nn.Conv2d(width // 4, width, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weighed: Tensor = x * self.gate(x)
        return weighed


class Inverted(nn.Module):
    """Widens, filters each channel by itself, narrows; with a shortcut where shapes allow it."""

    def __init__(
        self, width: int, inner: int, outer: int, size: int, stride: int, squeeze: bool
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv(width, inner, 1, act=nn.Hardswish),
            *_conv(inner, inner, size, stride, groups=inner, act=nn.Hardswish),
            *([Squeeze(inner)] if squeeze else []),
            *_conv(inner, outer, 1, act=None),
        )
        self.same = stride == 1 and width == outer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.same else y


MOBILE = (
    (16, 16, 3, 1, False),
    (64, 24, 3, 2, False),
    (72, 24, 3, 1, False),
    (72, 40, 5, 2, True),
    (120, 40, 5, 1, True),
    (120, 40, 5, 1, True),
    (240, 80, 3, 2, False),
    (200, 80, 3, 1, False),
    (184, 80, 3, 1, False),
    (480, 112, 3, 1, True),
    (672, 112, 3, 1, True),
    (672, 160, 5, 2, True),
    (960, 160, 5, 1, True),
    (960, 160, 5, 1, True),
)
"""Each block's inner and outer width, filter, stride, and whether it squeezes; from the paper."""


def _mobile(classes: int | None = None) -> nn.Sequential:
    """The net of MOBILE, with a classifier where there are classes."""
    layers: list[nn.Module] = [*_conv(3, 16, 3, 2, act=nn.Hardswish)]
    width = 16
    for inner, outer, size, stride, squeeze in MOBILE:
        layers.append(Inverted(width, inner, outer, size, stride, squeeze))
        width = outer
    if classes is not None:
        layers += [*_conv(width, 960, 1, act=nn.Hardswish), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        layers += [nn.Linear(960, 1280), nn.Hardswish(), nn.Linear(1280, classes)]
    return nn.Sequential(*layers)


class Detector(nn.Module):
    """Boxes at every place of a grid of 32 pixels, of which those that overlap are suppressed."""

    CLASSES, ANCHORS, OVERLAP, LEAST = 20, 3, 0.5, 0.05

    def __init__(self) -> None:
        super().__init__()
        self.body = _mobile()
        self.head = nn.Conv2d(160, self.ANCHORS * (4 + self.CLASSES), 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.head(self.body(pixels[None]))[0]  # (anchors · (4 + classes), rows, columns)
        rows, columns = maps.shape[1:]
        cells = maps.reshape(self.ANCHORS, 4 + self.CLASSES, rows, columns).permute(2, 3, 0, 1)
        y = torch.arange(rows, dtype=maps.dtype)[:, None, None] + torch.sigmoid(cells[..., 0])
        x = torch.arange(columns, dtype=maps.dtype)[None, :, None] + torch.sigmoid(cells[..., 1])
        half = torch.exp(cells[..., 2:4].clamp(-2, 2))
        y, x = y[..., None], x[..., None]
        corners = [y - half[..., :1], x - half[..., 1:], y + half[..., :1], x + half[..., 1:]]
        boxes = (32 * torch.cat(corners, -1)).reshape(-1, 4)
        scores, labels = torch.sigmoid(cells[..., 4:]).reshape(-1, self.CLASSES).max(-1)
        kept = _suppressed(boxes, scores, self.OVERLAP, self.LEAST)
        return boxes[kept], scores[kept], labels[kept]


def _suppressed(boxes: Tensor, scores: Tensor, overlap: float, least: float) -> Tensor:
    """The indices of boxes that no better one overlaps, the best first; ONNX's operator in a
    file."""
    if torch.compiler.is_exporting():
        count: Any = (scores > least).sum().item()
        most = torch.tensor([torch.iinfo(torch.int64).max])
        limits = (torch.tensor([overlap]), torch.tensor([least]))
        chosen: Tensor = torch.onnx.ops.symbolic(
            "NonMaxSuppression",
            (boxes[None], scores[None, None], most, *limits),
            dtype=torch.int64,
            shape=(count, 3),
        )
        return chosen[:, 2]
    order = torch.argsort(scores, descending=True, stable=True)
    order = order[scores[order] > least]
    kept = []
    while len(order):
        kept.append(order[:1])
        order = order[1:][_overlap(boxes[order[0]], boxes[order[1:]]) <= overlap]
    return torch.cat(kept) if kept else order


def _overlap(box: Tensor, others: Tensor) -> Tensor:
    """The area that a box shares with others over that of both together."""
    low, high = torch.maximum(box[:2], others[:, :2]), torch.minimum(box[2:], others[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    both = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(-1) - shared
    return shared / both


class Mixture(nn.Module):
    """Six layers of attention and a mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(16000, 512), nn.Embedding(512, 512)
        self.layers = nn.ModuleList(MixtureLayer(512, 8) for _ in range(6))
        self.norm, self.head = nn.LayerNorm(512), nn.Linear(512, 100)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids) + self.places(torch.arange(ids.shape[1], device=ids.device))
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.head(self.norm(x))
        return logits


class MixtureLayer(nn.Module):
    """Causal attention, then two of all experts for each token."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.bundle, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.gate = nn.Linear(width, count, bias=False)
        self.widen = nn.Parameter(torch.randn(count, width, 2 * width) * width**-0.5)
        self.narrow = nn.Parameter(torch.randn(count, 2 * width, width) * width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.bundle(self.first(x)).unflatten(-1, (3, 8, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind()  # (batch, heads, seq, width / heads)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.mix(mixed.transpose(1, 2).flatten(2))
        y = self.second(x)
        best, chosen = self.gate(y).softmax(-1).topk(2)
        share = torch.zeros_like(y[..., : len(self.widen)]).scatter(-1, chosen, best)
        inner = nn.functional.silu(torch.einsum("bsd,edh->bseh", y, self.widen))
        return x + torch.einsum("bseh,ehd,bse->bsd", inner, self.narrow, share)


def _conv(
    width: int,
    outer: int,
    size: int,
    stride: int = 1,
    *,
    groups: int = 1,
    act: Callable[[], nn.Module] | None = nn.ReLU,
) -> Iterator[nn.Module]:
    """A convolution, its normalization and its activation."""
    yield nn.Conv2d(width, outer, size, stride, size // 2, groups=groups, bias=False)
    yield nn.BatchNorm2d(outer)
    if act is not None:
        yield act()


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return make().eval()


def _calibrated(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> nn.Module:
    """A seeded net whose normalizations have seen random pictures: with the statistics that they
    begin with, numbers would grow from layer to layer."""
    module = _seeded(make)
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        module(torch.randn(shape, generator=torch.Generator().manual_seed(SEED)))
    return module.eval()


def _fill(module: nn.Module) -> None:
    """Fills all weights from one block of random numbers, each beginning elsewhere in it; those of
    one dimension, which scale, with ones."""
    block = torch.randn(1 << 20, generator=torch.Generator().manual_seed(SEED)) * 0.02
    for number, weight in enumerate(module.parameters()):
        flat: Any = weight.data.view(-1)
        if weight.dim() < 2:
            flat.fill_(1)
            continue
        turned = block.roll(7919 * number)
        for part in flat.split(len(block)):
            part.copy_(turned[: len(part)])
