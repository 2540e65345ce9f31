import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from untrained.proxies.twice import TwiceDifferentiable


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (3, 2, 3, 2)], ids=["rows", "series", "images"])
def test_first_and_second_derivatives_are_those_of_differences(shape: tuple[int, ...], affine: bool) -> None:
    torch.manual_seed(0)
    x, tilt = torch.randn(2, *shape, dtype=torch.float64)
    weight, bias = torch.randn(2, shape[1], dtype=torch.float64).unbind() if affine else (None, None)

    def tilted(x: Tensor) -> Tensor:
        with TwiceDifferentiable():
            return torch.tanh(F.batch_norm(x, None, None, weight, bias, True, eps=0.1)) * tilt

    x.requires_grad_()
    assert gradcheck(tilted, (x,))
    assert gradgradcheck(tilted, (x,))


def test_outputs_and_gradients_are_those_of_torch_bit_for_bit() -> None:
    torch.manual_seed(0)
    layer, x = nn.BatchNorm2d(3), torch.randn(4, 3, 5, 5, requires_grad=True)
    nn.init.normal_(layer.weight)

    def outputs() -> list[Tensor]:
        y = layer(x)
        grads = torch.autograd.grad((y**3).sum(), [x, layer.weight, layer.bias])
        found = [y.detach(), *grads, layer.running_mean, layer.running_var]
        layer.reset_running_stats()
        return [tensor.clone() for tensor in found if tensor is not None]

    layer.running_var = torch.full((3,), 2.0)
    theirs = outputs()
    assert len(theirs) == 6
    layer.running_var = torch.full((3,), 2.0)
    with TwiceDifferentiable():
        ours = outputs()
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_stored_statistics_are_torchs_business() -> None:
    layer, x = nn.BatchNorm2d(3).eval(), torch.randn(4, 3, 5, 5)
    layer.running_mean = torch.tensor([1.0, 2.0, 3.0])
    with TwiceDifferentiable():
        inside = layer(x)
    assert torch.equal(inside, layer(x))
