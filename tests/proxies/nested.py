"""NAS-Bench-201 as a plain module, with the containers that hooks on all modules see in MeCo's program."""

import torch
from torch import Tensor, nn


class ConvBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
        self.op = nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0


class Pool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x)


class Cell(nn.Module):
    def __init__(self, arch: str, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList()
        self.sources: list[list[int]] = []
        for node in arch.split("+"):
            names = [edge.split("~") for edge in node.strip("|").split("|")]
            self.sources.append([int(source) for _, source in names])
            self.edges.extend(edge(name, channels) for name, _ in names)

    def forward(self, x: Tensor) -> Tensor:
        nodes, edges = [x], iter(self.edges)
        for sources in self.sources:
            nodes.append(torch.stack([next(edges)(nodes[source]) for source in sources]).sum(dim=0))
        return nodes[-1]


def edge(name: str, channels: int) -> nn.Module:
    if name.startswith("nor_conv"):
        return ConvBlock(channels, channels, int(name[-1]))
    return {"none": Nothing, "skip_connect": nn.Identity, "avg_pool_3x3": Pool}[name]()


class Reduction(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = ConvBlock(channels, 2 * channels, 3, 2)
        self.b = ConvBlock(2 * channels, 2 * channels, 3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, 2 * channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        deep: Tensor = self.b(self.a(x))
        return deep + self.shortcut(x)


class Wrapped(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Nested(nn.Module):
    """One cell a stage, eight channels, ten classes."""

    def __init__(self, arch: str, c: int = 8) -> None:
        super().__init__()
        self.stem = Wrapped(nn.Conv2d(3, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))
        self.stages = nn.ModuleList(
            [
                nn.Sequential(Cell(arch, c)),
                Reduction(c),
                nn.Sequential(Cell(arch, 2 * c)),
                Reduction(2 * c),
                nn.Sequential(Cell(arch, 4 * c)),
            ]
        )
        self.last = nn.Sequential(nn.BatchNorm2d(4 * c), nn.ReLU(inplace=True))
        self.classifier = nn.Linear(4 * c, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        logits: Tensor = self.classifier(self.last(x).mean(dim=(2, 3)))
        return logits
