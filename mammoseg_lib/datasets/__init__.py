"""The readers: one module or room a data set, each a `Reader`; `sources` knows them and finds their data.

`sample` says what they all yield: a table of samples, and one `Sample` a row. `files` reads a single file.
"""

from mammoseg_lib.datasets.sample import COLUMNS, DataError, Problem, Reader, Sample, sample_table

__all__ = ["COLUMNS", "DataError", "Problem", "Reader", "Sample", "sample_table"]
