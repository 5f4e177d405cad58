# data -> runs -> notebooks -> figures, for a laptop (`make figures`) or a cluster:
#   snakemake --executor slurm --jobs 20 --config profile=paper
# Executed notebooks, figures and runs go below MAMMOSEG_HOME, by default this folder. What is trained for which
# notebook stands in mammoseg_lib/studies/.
import re
import shlex
import sys

sys.path.insert(0, workflow.basedir)

from mammoseg_lib import paths
from mammoseg_lib.checks import check_choice
from mammoseg_lib.notebooks import available, may_show_real, profile_parameters
from mammoseg_lib.provenance import library_digest, notebook_digest
from mammoseg_lib.storage import digest
from mammoseg_lib.studies import PROFILES, load_study, read_by, study_names


workdir: str(paths.home())


PROFILE = config.get("profile", "demo")
check_choice("profile", PROFILE, PROFILES)
MAMMOSEG = f"{shlex.quote(sys.executable)} -m mammoseg_lib.cli"
FIGURES = "figures/real" if may_show_real(PROFILE, {}) else "figures"
STUDIES = {name: load_study(name) for name in study_names() if PROFILE in load_study(name).file.profiles}
DEMO = "data/runs/records/demo.json"
LIBRARY = library_digest()  # once: it reads all of the library, which takes a second


def slug(config):
    """The name of a run in a file name."""
    return re.sub(r"[^\w.]+", "_", config.arm) + f"-fold{config.fold}-seed{config.seed}"


RUNS = {(name, slug(each)): each for name, study in STUDIES.items() for each in study.plan(PROFILE)}


wildcard_constraints:
    name=r"\d\d_\w+",
    study=r"[\w.]+",
    run=r"[\w.]+-fold\d+-seed\d+",


def records(name):
    """The records of all runs that a notebook waits for: in `reduced` none, it shows what there is."""
    if PROFILE == "reduced":
        return []
    read = {study.name for study in read_by(name, PROFILE)}
    if PROFILE == "demo":
        return [DEMO] if read else []
    return [f"data/runs/records/{PROFILE}/{study}/{run}.json" for study, run in RUNS if study in read]


def trained(study, run):
    """What decides the outcome of a run: a change trains anew."""
    from mammoseg_lib.runs.identity import run_code, settings_digest  # which take PyTorch, and so seconds

    config = RUNS[study, run]
    return digest([settings_digest(config), run_code(config)])


rule all:
    input:
        expand(FIGURES + "/{name}/executed.ipynb", name=available()),


# The demo: all runs of all studies in one call, as a process starts in seconds, a good part of such a run. The
# command itself trains only what the change of the library concerns.
rule train_demo:
    output:
        DEMO,
    params:
        library=LIBRARY,
    priority: 1
    threads: workflow.cores or 1
    shell:
        MAMMOSEG + " train " + " ".join(STUDIES) + " --profile demo --jobs {threads} --record {output:q}"


# Real images: one run a job.
rule train_run:
    output:
        "data/runs/records/" + PROFILE + "/{study}/{run}.json",
    params:
        trained=lambda wildcards: trained(wildcards.study, wildcards.run),
        arm=lambda wildcards: RUNS[wildcards.study, wildcards.run].arm,
        fold=lambda wildcards: RUNS[wildcards.study, wildcards.run].fold,
        seed=lambda wildcards: RUNS[wildcards.study, wildcards.run].seed,
    threads: 4 if PROFILE == "paper" else 1
    resources:
        mem_mb=16000 if PROFILE == "paper" else 3000,
        runtime=24 * 60 if PROFILE == "paper" else 120,
        gres="gpu:1" if PROFILE == "paper" else "",
    retries: 1
    shell:
        MAMMOSEG + " train {wildcards.study} --profile " + PROFILE
        + " --arm {params.arm:q} --fold {params.fold} --seed {params.seed} --record {output:q}"


rule notebook:
    input:
        # A save in JupyterLab makes the file newer without changing what it does: its code is a parameter.
        notebook=lambda wildcards: ancient(str(paths.NOTEBOOKS / f"{wildcards.name}.ipynb")),
        records=lambda wildcards: records(wildcards.name),
    output:
        FIGURES + "/{name}/executed.ipynb",
    params:
        code=lambda wildcards: notebook_digest(paths.NOTEBOOKS / f"{wildcards.name}.ipynb"),
        library=LIBRARY,
        parameters=lambda wildcards: profile_parameters(PROFILE, wildcards.name),
    shell:
        MAMMOSEG + " run-notebooks {wildcards.name} --profile " + PROFILE
