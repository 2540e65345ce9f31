"""Networks of one's own: a dict of functions, scored like any space; one module by itself, with the weights it has."""

from torch import Tensor, nn

import untrained


class Block(nn.Module):
    def __init__(self, width: int, depthwise: bool) -> None:
        super().__init__()
        groups = width if depthwise else 1
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=groups, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def network(width: int, depth: int, depthwise: bool = False) -> nn.Module:
    blocks = [Block(width, depthwise) for _ in range(depth)]
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)
    )


NETWORKS = {
    "shallow": lambda: network(16, 2),
    "deep": lambda: network(16, 6),
    "depthwise": lambda: network(16, 6, depthwise=True),
}

if __name__ == "__main__":
    space = untrained.own_space(NETWORKS)
    table = untrained.score(space, "epsinas(low=1e-3),grad_norm,params", batch_size=16, workers=1)
    for score in table:
        print(f"{score.arch.code:<12}{score.proxy:<20}{score.value}")
    one = untrained.score_module(network(8, 3), ["grad_norm", "flops"], "normal", input_shape=(3, 16, 16), batch_size=8)
    print({name: score.value for name, score in one.items()})
