# data -> runs -> notebooks -> figures, for a laptop (`make figures`), or a cluster:
#   snakemake --executor slurm --jobs 20 --config profile=paper
# Executed notebooks, figures and runs go below MAMMOSEG_HOME, by default this folder.
import sys

sys.path.insert(0, workflow.basedir)

from mammoseg_lib import paths
from mammoseg_lib.notebooks import available, profile_parameters, read_profile
from mammoseg_lib.provenance import library_digest, notebook_digest

workdir: str(paths.home())

PROFILE = config.get("profile", "smoke")
TRAINING = read_profile(PROFILE)["training"]
MAMMOSEG = f"{sys.executable} -m mammoseg_lib.cli"
LIBRARY = library_digest()
# As mammoseg_lib.notebooks decides: whatever may show real images lies apart.
FIGURES = "figures" if PROFILE == "smoke" else "figures/real"
# The notebooks that read the runs of a paper, beside those that train them and carry its name.
READS_RUNS = {"20_train_spatial_matching": ["spatial_matching"], "40_tables": ["spatial_matching"]}


wildcard_constraints:
    name=r"\d\d_\w+",
    fold=r"\d+",
    seed=r"\d+",


def phantoms(paper):
    """The record of the phantoms that a paper's runs use; nothing where the profile takes real data."""
    block = TRAINING[paper]
    return [f"data/phantoms/inbreast-{block['n_images']}.txt"] if block["phantoms"] else []


def records(name):
    """The records of all runs that a notebook reads."""
    return [
        f"data/runs/records/{PROFILE}/{paper}/{method}-fold{fold}-seed{seed}.json"
        for paper in READS_RUNS.get(name, [])
        for method in TRAINING[paper]["methods"]
        for fold in TRAINING[paper]["folds"]
        for seed in TRAINING[paper]["seeds"]
    ]


rule all:
    input:
        expand(FIGURES + "/{name}/executed.ipynb", name=available()),


rule phantoms:
    output:
        "data/phantoms/inbreast-{n_images}.txt",
    shell:
        MAMMOSEG + " phantoms inbreast --n-images {wildcards.n_images} > {output}"


rule train:
    input:
        lambda wildcards: phantoms(wildcards.paper),
    output:
        "data/runs/records/{profile}/{paper}/{method}-fold{fold}-seed{seed}.json",
    params:
        settings=lambda wildcards: TRAINING[wildcards.paper],
        library=LIBRARY,  # a complete run is skipped in seconds, and one that the change concerns is not
    shell:
        MAMMOSEG + " train {wildcards.paper} --profile {wildcards.profile} --method {wildcards.method}"
        " --fold {wildcards.fold} --seed {wildcards.seed} --record {output}"


rule notebook:
    input:
        # A save in JupyterLab makes the file newer without changing what it does: its code is a parameter.
        notebook=lambda wildcards: ancient(str(paths.NOTEBOOKS / f"{wildcards.name}.ipynb")),
        records=lambda wildcards: records(wildcards.name),
        phantoms=phantoms("spatial_matching"),
    output:
        FIGURES + "/{name}/executed.ipynb",
    params:
        code=lambda wildcards: notebook_digest(paths.NOTEBOOKS / f"{wildcards.name}.ipynb"),
        library=LIBRARY,
        parameters=lambda wildcards: profile_parameters(PROFILE, wildcards.name),
    shell:
        MAMMOSEG + " run-notebooks {wildcards.name} --profile " + PROFILE
