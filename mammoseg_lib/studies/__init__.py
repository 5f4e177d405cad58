"""Studies: one file an experiment, which every command, notebook and figure finds by the study's name.

study = load_study("spatial_matching")        # or the path of a file of one's own
configs = study.plan("demo", folds=[0])       # the runs that one of its profiles asks for
"""

from mammoseg_lib.studies.load import load_study, read_by, study_names
from mammoseg_lib.studies.schema import PROFILES, Study, StudyError

__all__ = ["PROFILES", "Study", "StudyError", "load_study", "read_by", "study_names"]
