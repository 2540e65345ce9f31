"""The studies of both papers: tables and figures that say when a score agrees with training and what it depends on.

A file `studies/<name>.py` is a study: what it does stands in its docstring, and `STUDY` is it.
"""

from untrained.studies.base import STUDIES, Case, Context, Study
from untrained.studies.run import StudyResult, read_study, study

__all__ = ["STUDIES", "Case", "Context", "Study", "StudyResult", "read_study", "study"]
