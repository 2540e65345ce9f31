"""A space of choices: sampled, deduplicated and mutated here, then searched by Optuna with a proxy as its objective."""

import importlib.util

import numpy as np
from torch import nn

import untrained

CHOICES = {"width": [8, 16], "depth": [1, 2, 3], "kernel": [1, 3, 5], "act": [nn.ReLU, nn.ReLU6], "dropout": [0.0, 0.2]}


def build(width: int, depth: int, kernel: int, act: type[nn.Module], dropout: float) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1)]
    for _ in range(depth):
        layers += [nn.BatchNorm2d(width), act(), nn.Conv2d(width, width, kernel, padding=kernel // 2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(width, 10))


SPACE = untrained.ChoiceSpace(build, CHOICES, input_shape=(3, 16, 16), n_classes=10)


def climb(rng: np.random.Generator, steps: int = 12) -> str:
    """Keep a change if it scores higher."""
    best, best_value = SPACE[0], -np.inf
    candidate = best
    for _ in range(steps):
        (score,) = untrained.score(SPACE, "grad_norm", archs=[candidate], batch="normal", batch_size=8, workers=1)
        if score.value is not None and score.value > best_value:
            best, best_value = candidate, score.value
        candidate = SPACE.mutate(best, rng)
    return f"{SPACE.format(best)}: {best_value:.3f}"


def optimise(n_trials: int = 8) -> str:
    """The same with Optuna: a network without a score is pruned, not given a number."""
    import optuna

    def objective(trial: optuna.Trial) -> float:
        picked = {argument: trial.suggest_categorical(argument, texts) for argument, texts in SPACE.texts.items()}
        arch = SPACE.parse(",".join(f"{argument}={text}" for argument, text in picked.items()))
        score = untrained.score_module(SPACE.module(arch), "grad_norm", "normal", input_shape=(3, 16, 16), batch_size=8)
        value = score["grad_norm"].value
        if value is None:
            raise optuna.TrialPruned(score["grad_norm"].detail)
        return value

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=n_trials)
    return f"{','.join(f'{argument}={text}' for argument, text in study.best_params.items())}: {study.best_value:.3f}"


if __name__ == "__main__":
    archs = SPACE.sample(np.random.default_rng(0), 40)
    print(f"{len(SPACE)} networks; of {len(archs)} drawn {len(SPACE.unique(archs))} differ (dropout is no part of one)")
    print("hill climbing ", climb(np.random.default_rng(3)))
    if importlib.util.find_spec("optuna"):
        print("Optuna        ", optimise())
    else:
        print("Optuna is not installed: pip install optuna")
