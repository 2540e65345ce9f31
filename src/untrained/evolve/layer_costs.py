"""What a program of layers would cost, from shapes alone: nothing is measured, so that it is the same everywhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from untrained.errors import BadInputError
from untrained.evolve.layer_tensors import UNITS
from untrained.evolve.layer_worker import REDUCTIONS, Asked, Signature, Survey
from untrained.programs.evaluate import Failure, Plan
from untrained.programs.operators import Operator
from untrained.programs.program import Program
from untrained.types import Status

LAYERS: Final = tuple([f"layers_{how}" for how in REDUCTIONS])
WEIGHTS: Final = tuple([f"weights_{how}" for how in REDUCTIONS])
NS_PER_MAC: Final = 0.1  # of one image in a forward pass; a backward pass takes two of these
MAX_LAYER_COST: Final = 2e7  # elementary steps, about nanoseconds
MAX_NETWORK_COST: Final = 1e8


class Outlook(NamedTuple):
    """Whether a program may be run, and the predicted milliseconds for one network."""

    status: Status
    reason: str
    milliseconds: float


def asked(program: Program) -> Asked:
    """The tree and what it is applied to."""
    return Asked(program.over.partition("_")[0], program.tree)


class LayerCosts:
    """Costs of programs on some networks."""

    def __init__(
        self, surveys: Sequence[Survey], reference: Survey, n_images: int, operators: Mapping[str, Operator]
    ) -> None:
        """Count layers of equal shapes.

        Args:
            surveys: of the networks on which no program may be too large or too costly.
            reference: the network that milliseconds are predicted for.
            n_images: of the batch.
            operators: those that programs may be made of.
        """
        self._operators = operators
        self._shapes = {unit: _shapes(surveys, unit) for unit in UNITS}
        self._reference = {unit: Counter(reference.units[unit]) for unit in UNITS}
        self._pass_steps = NS_PER_MAC * reference.macs * n_images

    def outlook(self, program: Program) -> Outlook:
        """What is to be expected of a program.

        Milliseconds are the sum of the operators' costs over all layers of the reference, at a nanosecond each, plus
        NS_PER_MAC for each multiply-accumulate and image of every forward pass that the program reads, and twice that
        of every backward pass.

        Status is OK; UNSUPPORTED, where there is no such operator, terminal or `over`; OUT_OF_MEMORY or TIMEOUT, where
        a value would have too many elements or computing would take more than MAX_LAYER_COST on a layer or
        MAX_NETWORK_COST on a network.
        """
        if program.over not in (*LAYERS, *WEIGHTS):
            return Outlook(Status.UNSUPPORTED, f"{program.over} is not over layers or weights", 0.0)
        unit, tree = asked(program)
        for name in tree.terminals():
            if name not in UNITS[unit]:
                return Outlook(Status.UNSUPPORTED, f"{name} is not measured on {unit}", 0.0)
        try:
            plan = Plan([tree], max_cost=MAX_LAYER_COST, operators=self._operators)
        except BadInputError as error:
            return Outlook(Status.UNSUPPORTED, str(error), 0.0)
        costs: dict[Signature, float] = {}
        for counted in self._shapes[unit]:
            for signature in counted:
                if signature not in costs:
                    failure = _failure(plan, signature)
                    if failure is not None and failure.status is not Status.UNDEFINED:
                        return Outlook(failure.status, failure.reason, 0.0)
                    costs[signature] = _cost(plan, signature)
            steps = sum([n * costs[signature] for signature, n in counted.items()])
            if steps > MAX_NETWORK_COST:
                reason = f"the program would take {steps:.3g} steps on a network, at most {MAX_NETWORK_COST:.3g} may"
                return Outlook(Status.TIMEOUT, reason, 0.0)
        steps = sum([n * _cost(plan, signature) for signature, n in self._reference[unit].items()])
        return Outlook(Status.OK, "", (steps + _n_passes(plan.terminals) * self._pass_steps) / 1e6)


def _shapes(surveys: Sequence[Survey], unit: str) -> list[Counter[Signature]]:
    """How many layers of which shapes networks have, each combination once."""
    return [Counter(signatures) for signatures in dict.fromkeys([tuple(one.units[unit]) for one in surveys])]


def _cost(plan: Plan, signature: Signature) -> float:
    shapes = dict(signature)
    return plan.costs(shapes)[0] if shapes.keys() >= set(plan.terminals) else 0.0


def _failure(plan: Plan, signature: Signature) -> Failure | None:
    shapes = dict(signature)
    return plan.failures(shapes)[0] if shapes.keys() >= set(plan.terminals) else None


def _n_passes(names: Sequence[str]) -> int:
    """Passes that tensors of these names need, in forward passes.

    >>> _n_passes(["weight"]), _n_passes(["in_data", "weight_grad_data"]), _n_passes(["act_perturb"])
    (0, 3, 2)
    """
    forward = {name.rpartition("_")[2] for name in names if name != "weight"}
    backward = {name.rpartition("_")[2] for name in names if "grad" in name}
    for passes in (forward, backward):
        if "perturb" in passes:  # of which the difference to the data is read
            passes.add("data")
    if "loss" in forward:  # a backward pass of its own behind the same forward pass
        forward = forward - {"loss"} | {"data"}
    return len(forward) + 2 * len(backward)
