"""Rankings fitted to a handful of trained networks, with honest uncertainty."""

from untrained.errors import MissingDependencyError

try:
    from untrained.calibration.calibrate import Calibration, calibrate
    from untrained.calibration.labels import Label, Labels, labels_of, read_labels
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("sklearn", "scipy", "threadpoolctl"):
        raise
    raise MissingDependencyError.of("scikit-learn", "calibrate", "calibrating a ranking") from error

__all__ = ["Calibration", "Label", "Labels", "calibrate", "labels_of", "read_labels"]
