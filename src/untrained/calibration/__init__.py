"""Rankings fitted to a handful of trained networks, with honest uncertainty."""

from untrained.errors import MissingDependencyError

try:
    from untrained.calibration.labels import Label, Labels, labels_of, read_labels
    from untrained.calibration.ranking import Calibration, calibrate
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("sklearn", "scipy", "threadpoolctl"):
        raise
    raise MissingDependencyError.of("scikit-learn", "calibrate", "calibrating a ranking") from error

__all__ = ["Calibration", "Label", "Labels", "calibrate", "labels_of", "read_labels"]
