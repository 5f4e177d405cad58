"""Phantoms: data sets that are made up, in the release layouts of real ones, and read back by their readers.

They stand in where the real sets, which their authors give out on request, are not at hand. Nothing in them
stems from a patient: breasts, tissue and masses are drawn from random numbers, with counts and sizes that
follow the published sets. `cases` plans who has what; `mammogram`, `film` and `ultrasound` draw an image; and
for each layout a module of the source's name has one function, `write`, which is a `writer.Writer`:

    from mammoseg_lib.phantoms import busi
    busi.write(folder, n_images=120, size=256, seed=0)
"""
