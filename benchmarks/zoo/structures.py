"""Nets over graphs, sets, tables and points, and other odd ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.zoo.entry import entry

GRAPH = ("x:float32[nodes=10,6]", "adjacency:float32[nodes,nodes]")


@entry(*GRAPH)
def graph_convolution() -> nn.Module:
    """A graph convolutional net (Kipf and Welling 2016) with a dense adjacency."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
            around = adjacency + torch.eye(adjacency.shape[0])
            scale = around.sum(1).rsqrt()
            around = scale[:, None] * around * scale[None]
            return around @ self.two(F.relu(around @ self.one(x)))

    return Net()


@entry(*GRAPH)
def graph_attention() -> nn.Module:
    """A graph attention net (Velickovic et al. 2017) with a dense adjacency."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 1), nn.Linear(8, 1)

        def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
            h = self.net(x)
            scores = F.leaky_relu(self.a(h) + self.b(h).mT, 0.2)
            scores = scores.masked_fill(adjacency < 0.5, -1e9)
            return F.elu(scores.softmax(-1) @ h)

    return Net()


@entry("x:float32[nodes=10,6]", "source:int64[edges=20]", "target:int64[edges]")
def message_passing() -> nn.Module:
    """Messages along edges, added up at their targets (Gilmer et al. 2017)."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.message, self.update = nn.Linear(12, 8), nn.Linear(14, 4)

        def forward(self, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
            messages = F.relu(self.message(torch.cat([x[source], x[target]], -1)))
            sums = x.new_zeros(x.shape[0], 8).index_add(0, target, messages)
            return self.update(torch.cat([x, sums], -1))

    return Net()


@entry("x:float32[nodes=10,6]", "edges:int64[2,count=20]")
def graph_sage() -> nn.Module:
    """GraphSAGE (Hamilton et al. 2017): the mean and the largest of the neighbours."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(18, 4)

        def forward(self, x: Tensor, edges: Tensor) -> Tensor:
            source, target = edges[0], edges[1]
            at = target[:, None].expand(-1, 6)
            zeros = torch.zeros_like(x)
            mean = zeros.scatter_reduce(0, at, x[source], "mean", include_self=False)
            most = zeros.scatter_reduce(0, at, x[source], "amax", include_self=False)
            return F.normalize(self.net(torch.cat([x, mean, most], -1)), dim=-1)

    return Net()


@entry("x:float32[nodes=12,6]", "graph:int64[nodes]")
def graph_pooling() -> nn.Module:
    """The mean of each graph's nodes, four graphs in all."""

    class Net(nn.Module):
        def forward(self, x: Tensor, graph: Tensor) -> Tensor:
            member = F.one_hot(graph, 4).to(x.dtype)
            return (member.T @ x) / member.sum(0)[:, None].clamp(min=1)

    return Net()


@entry("points:float32[batch,count=30,3]")
def point_net() -> nn.Module:
    """PointNet (Qi et al. 2016): a turned cloud of points, the largest over all of them."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.turn, self.net = nn.Linear(3, 9), nn.Linear(3, 16)
            self.head = nn.Linear(16, 5)

        def forward(self, points: Tensor) -> Tensor:
            turn = self.turn(points.mean(1)).view(-1, 3, 3) + torch.eye(3)
            return self.head(F.relu(self.net(points @ turn)).amax(1))

    return Net()


@entry("points:float32[batch,count=30,3]")
def nearest_neighbours() -> nn.Module:
    """DGCNN's edge convolution (Wang et al. 2018) over the four nearest points."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(6, 8)

        def forward(self, points: Tensor) -> Tensor:
            squares = points.pow(2).sum(-1)
            far = squares[:, :, None] + squares[:, None] - 2 * points @ points.mT
            near = far.topk(4, dim=-1, largest=False)[1]
            rows = torch.arange(points.shape[0])[:, None, None]
            around = points[rows, near]
            own = points[:, :, None].expand_as(around)
            return F.relu(self.net(torch.cat([own, around - own], -1))).amax(2)

    return Net()


@entry("x:float32[batch,count=9,5]")
def deep_set() -> nn.Module:
    """Deep sets (Zaheer et al. 2017)."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.each, self.all = nn.Linear(5, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.all(F.relu(self.each(x)).sum(1))

    return Net()


@entry("x:float32[batch,count=20,8]")
def perceiver_block() -> nn.Module:
    """A perceiver (Jaegle et al. 2021): few latent rows attend to many inputs."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.latent = nn.Parameter(torch.randn(5, 16))
            self.layer = nn.MultiheadAttention(16, 2, kdim=8, vdim=8, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            latent = self.latent.expand(x.shape[0], -1, -1)
            return latent + self.layer(latent, x, x, need_weights=False)[0]

    return Net()


@entry("numbers:float32[batch,6]", "kinds:int64[batch,4]")
def wide_and_deep() -> nn.Module:
    """A wide and deep net over numbers and kinds (Cheng et al. 2016)."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tables = nn.ModuleList(nn.Embedding(20, 4) for _ in range(4))
            self.wide = nn.Linear(6, 1)
            self.deep = nn.Sequential(nn.Linear(22, 16), nn.ReLU(), nn.Linear(16, 1))

        def forward(self, numbers: Tensor, kinds: Tensor) -> Tensor:
            rows = [table(kinds[:, i]) for i, table in enumerate(self.tables)]
            deep = self.deep(torch.cat([numbers, *rows], -1))
            return (self.wide(numbers) + deep).sigmoid().squeeze(-1)

    return Net()


@entry("numbers:float32[batch,6]", "kinds:int64[batch,4]")
def recommender() -> nn.Module:
    """DLRM (Naumov et al. 2019): products of all pairs of embeddings."""

    class Net(nn.Module):
        rows: Tensor
        columns: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.tables = nn.ModuleList(nn.Embedding(20, 8) for _ in range(4))
            self.bottom, self.top = nn.Linear(6, 8), nn.Linear(18, 1)
            places = torch.tril_indices(5, 5, -1)
            self.register_buffer("rows", places[0])
            self.register_buffer("columns", places[1])

        def forward(self, numbers: Tensor, kinds: Tensor) -> Tensor:
            dense = F.relu(self.bottom(numbers))
            each = [dense, *(table(kinds[:, i]) for i, table in enumerate(self.tables))]
            rows = torch.stack(each, 1)
            products = (rows @ rows.mT)[:, self.rows, self.columns]
            return self.top(torch.cat([dense, products], -1)).sigmoid()

    return Net()


@entry("x:float32[batch,12]")
def factorization() -> nn.Module:
    """A factorization machine (Rendle 2010)."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.factors = nn.Linear(12, 1), nn.Parameter(torch.randn(12, 4))

        def forward(self, x: Tensor) -> Tensor:
            both = (x @ self.factors).pow(2) - x.pow(2) @ self.factors.pow(2)
            return self.linear(x) + both.sum(1, keepdim=True) / 2

    return Net()


@entry("user:int64[batch]", "items:int64[batch,count=7]")
def two_towers() -> nn.Module:
    """Two towers: the cosine of a user and several items."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.users, self.items = nn.Embedding(20, 8), nn.Embedding(30, 8)

        def forward(self, user: Tensor, items: Tensor) -> Tensor:
            mine = F.normalize(self.users(user), dim=-1)
            theirs = F.normalize(self.items(items), dim=-1)
            return torch.einsum("bi,bci->bc", mine, theirs)

    return Net()


@entry("rays:float32[count=40,3]", "directions:float32[count,3]")
def radiance_field() -> nn.Module:
    """NeRF (Mildenhall et al. 2020): positions as sines and cosines."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(27, 32), nn.ReLU(), nn.Linear(32, 17))
            self.colour = nn.Linear(19, 3)

        def forward(self, rays: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
            waves = [f(rays * 2**n) for n in range(4) for f in (torch.sin, torch.cos)]
            density, features = self.body(torch.cat([rays, *waves], -1)).split([1, 16], -1)
            colour = self.colour(torch.cat([features, directions], -1)).sigmoid()
            return F.softplus(density), colour

    return Net()


@entry("x:float32[batch,8]")
def neural_ode() -> nn.Module:
    """A neural ODE (Chen et al. 2018) by eight steps of Runge and Kutta."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 8))

        def forward(self, x: Tensor) -> Tensor:
            h = 1 / 8
            for _ in range(8):
                a = self.net(x)
                b = self.net(x + h / 2 * a)
                c = self.net(x + h / 2 * b)
                d = self.net(x + h * c)
                x = x + h / 6 * (a + 2 * b + 2 * c + d)
            return x

    return Net()


@entry("x:float32[batch,1,28,28]")
def capsules() -> nn.Module:
    """Capsules with three turns of routing (Sabour et al. 2017)."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 16, 9, 4)
            self.weights = nn.Parameter(torch.randn(50, 5, 8, 6) / 10)

        def forward(self, x: Tensor) -> Tensor:
            u = F.relu(self.conv(x)).view(x.shape[0], -1, 8)
            votes = torch.einsum("bni,ncij->bncj", u, self.weights)
            logits = torch.zeros(x.shape[0], 50, 5)
            for _ in range(3):
                s = (logits.softmax(2)[..., None] * votes).sum(1)
                square = s.pow(2).sum(-1, keepdim=True)
                v = square / (1 + square) * s / (square + 1e-8).sqrt()
                logits = logits + (votes * v[:, None]).sum(-1)
            return v.norm(dim=-1)

    return Net()


@entry("x:float32[batch,6]")
def mixture_density() -> nn.Module:
    """A mixture density net (Bishop 1994) that gives a log-likelihood of its own input."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(6, 9)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            logits, mean, spread = self.net(x).chunk(3, -1)
            spread = F.softplus(spread) + 0.1
            each = -((x[:, :1] - mean) / spread).pow(2) / 2 - spread.log()
            return torch.logsumexp(logits.log_softmax(-1) + each, -1), logits.softmax(-1)

    return Net()


@entry("x:float32[batch,5]")
def quantiles() -> nn.Module:
    """Quantiles, medians and k-th values of a row."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(5, 9)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            y = self.net(x)
            return y.quantile(0.3, dim=1), y.median(1).values, y.kthvalue(3, dim=1).values

    return Net()


@entry("x:float32[batch,5]")
def chosen_branch() -> nn.Module:
    """One of two nets, chosen by torch.cond."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(5, 3), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cond(x.sum() > 2.5, lambda y: self.a(y), lambda y: self.b(y), (x,))

    return Net()


@entry("logits:float32[batch,seq=6,20]", "labels:int64[batch,seq]")
def loss() -> nn.Module:
    """A cross entropy that ignores a label, as an evaluation step has it."""

    class Net(nn.Module):
        def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=0)

    return Net()


@entry("x:float32[batch,4]", "y:float32[count=7,4]")
def kernel_regression() -> nn.Module:
    """A Gaussian process' mean by distances to its points."""

    class Net(nn.Module):
        values: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("values", torch.randn(4))

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            weights = torch.exp(-torch.cdist(x, y).pow(2) / 2)
            return weights @ (y @ self.values) / weights.sum(1)

    return Net()
