"""Parameters with which proxies that repeat themselves take a moment instead of minutes."""

FEWER: dict[str, dict[str, float]] = {  # of what is repeated by default until chance evens out
    "az_nas_expressivity": {"images": 4},
    "az_nas_progressivity": {"images": 4},
    "az_nas_trainability": {"images": 4},
    "meco": {"size": 16},
    "meco_opt": {"size": 16},
    "reg_swap": {"repeats": 2},
    "swap": {"repeats": 2},
    "te_nas_regions": {"inputs": 60, "repeats": 1},
    "zen": {"repeats": 2, "noise_batch": 2},
}
