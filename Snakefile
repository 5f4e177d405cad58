# data -> runs -> notebooks -> figures, for a laptop (`make figures`), or a cluster:
#   snakemake --executor slurm --jobs 20 --config profile=paper
# Executed notebooks, figures and runs go below MAMMOSEG_HOME, by default this folder.
import sys

sys.path.insert(0, workflow.basedir)

from mammoseg_lib import paths
from mammoseg_lib.notebooks import available, may_show_real, paper_of, profile_parameters, read_profile
from mammoseg_lib.papers import load_paper
from mammoseg_lib.provenance import library_digest, notebook_digest

workdir: str(paths.home())

PROFILE = config.get("profile", "smoke")
TRAINING = read_profile(PROFILE)["training"]
MAMMOSEG = f"{sys.executable} -m mammoseg_lib.cli"
LIBRARY = library_digest()
FIGURES = "figures/real" if may_show_real(PROFILE, {}) else "figures"
# The studies of the profile whose runs a notebook reads.
READS_RUNS = {
    "20_train_spatial_matching": ["spatial_matching"],
    "21_train_density_asp": ["density_asp", "density_asp.cbis"],
    "22_train_boundary_loss": ["boundary_ultrasound", "boundary_ultrasound.as_printed"],
    "23_train_encoder_decoders": ["encoder_decoders"],
    "30_ablation_grid_size": ["spatial_matching.grid_size"],
    "31_ablation_sigmoid": ["spatial_matching.sigmoid"],
    "32_ablation_core_loss": ["spatial_matching.core_loss"],
    "33_density_weights": ["density_asp.theta"],
    "40_tables": ["spatial_matching"],
    "41_qualitative": ["spatial_matching", "density_asp", "boundary_ultrasound", "encoder_decoders"],
}


wildcard_constraints:
    name=r"\d\d_\w+",
    source=r"[a-z_]+",
    study=r"[\w.]+",
    fold=r"\d+",
    seed=r"\d+",


def phantoms(study):
    """The records of the phantoms that a study's runs use; nothing where the profile takes real data."""
    block, paper = TRAINING[study], load_paper(paper_of(study))
    sources = {paper.method(id).data["source"] for id in block["methods"]} if block["phantoms"] else ()
    return [f"data/phantoms/{source}-{block['n_images']}.txt" for source in sorted(sources)]


def records(name):
    """The records of all runs that a notebook reads."""
    return [
        f"data/runs/records/{PROFILE}/{study}/{method}-fold{fold}-seed{seed}.json"
        for study in READS_RUNS.get(name, [])
        if study in TRAINING
        for method in TRAINING[study]["methods"]
        for fold in TRAINING[study]["folds"]
        for seed in TRAINING[study]["seeds"]
    ]


rule all:
    input:
        expand(FIGURES + "/{name}/executed.ipynb", name=available()),


rule phantoms:
    output:
        "data/phantoms/{source}-{n_images}.txt",
    shell:
        MAMMOSEG + " phantoms {wildcards.source} --n-images {wildcards.n_images} > {output}"


rule train:
    input:
        lambda wildcards: phantoms(wildcards.study),
    output:
        "data/runs/records/{profile}/{study}/{method}-fold{fold}-seed{seed}.json",
    params:
        settings=lambda wildcards: TRAINING[wildcards.study],
        library=LIBRARY,  # a complete run is skipped in seconds, and one that the change concerns is not
    shell:
        MAMMOSEG + " train {wildcards.study} --profile {wildcards.profile} --method {wildcards.method}"
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
