from __future__ import annotations

import json
import os
import re
import sys

import nbformat
import pytest
from nbclient.exceptions import DeadKernelError
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager

from mammoseg_lib import notebooks, paths
from mammoseg_lib.notebooks import (
    NotebookError,
    check_parameters,
    parameters_of,
    profile_parameters,
    run_notebook,
)
from mammoseg_lib.provenance import notebook_digest
from mammoseg_lib.studies import PROFILES

ALL = notebooks.available()


def _opening(name: str) -> str:
    return nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", 4).cells[0].source


PARAMETERS = """n: int = 1
name: str = 'a'
items: list = [1]
rate: float = 0.5
profile: str = 'demo'"""


def _notebook(*cells: str, parameters: str = PARAMETERS):
    content = nbformat.v4.new_notebook()
    content.cells = [nbformat.v4.new_markdown_cell("# A title"), nbformat.v4.new_code_cell(parameters)]
    content.cells[1].metadata["tags"] = ["parameters"]
    content.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    content.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content.metadata["language_info"] = {"name": "python"}
    return content


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project of its own with one notebook."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(paths, "NOTEBOOKS", folder)
    nbformat.write(
        _notebook("from pathlib import Path\nprint(n, name, profile, Path.cwd().name)"), folder / "01_a.ipynb"
    )
    return folder


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nn": 1}, "no parameter 'nn'; did you mean 'n'"),
        ({"n": "1"}, r"n is '1' \(str\), but its default 1 is of type int"),
        ({"n": True}, "of type int"),
        ({"items": "1"}, "of type list"),
        ({"rate": "fast"}, "of type float"),
    ],
)
def test_wrong_parameters_are_errors(place, given, message):
    with pytest.raises(NotebookError, match=message):
        check_parameters(place / "01_a.ipynb", given)


def test_right_parameters_pass(place):
    check_parameters(place / "01_a.ipynb", {"n": 3, "name": "b", "items": [], "rate": 1})


@pytest.fixture
def foreign_kernel(tmp_path, monkeypatch):
    """As another environment leaves it for all others: under the same name, found first."""
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": [str(tmp_path / "other" / "python"), "{connection_file}"], "display_name": "Other"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))


@pytest.mark.usefixtures("foreign_kernel")
def test_a_kernel_of_another_environment_is_not_used(place):
    nbformat.write(_notebook("import sys\nprint(sys.prefix)"), place / "01_a.ipynb")
    cells = nbformat.read(run_notebook("01_a"), 4).cells
    assert cells[-1].outputs[0].text.strip() == sys.prefix


@pytest.mark.usefixtures("foreign_kernel")
def test_nor_by_make_test():
    assert re.search(r"-m pytest --nbval --nbval-current-env ", (paths.PROJECT / "Makefile").read_text())
    assert NbvalKernelspecManager().get_kernel_spec(CURRENT_ENV_KERNEL_NAME).argv[0] == sys.executable


def test_a_run_uses_the_profile_the_notebooks_folder_and_records_its_origin(place):
    target = run_notebook("01_a", parameters={"name": "x"})
    cells = nbformat.read(target, 4).cells
    assert cells[-1].outputs[0].text == "1 x demo notebooks\n"
    record = json.loads(target.with_suffix(".json").read_text())
    assert record["parameters"] == {"profile": "demo", "name": "x"}
    assert record["notebook_code"] == notebook_digest(place / "01_a.ipynb")
    assert record["environment"]["packages"]["torch"]


def test_what_may_show_patients_is_written_apart(place):
    assert run_notebook("01_a").parts[-3:] == ("figures", "01_a", "executed.ipynb")
    assert run_notebook("01_a", profile="reduced").parts[-4:-1] == ("figures", "real", "01_a")


def test_only_the_parameters_that_the_repository_states_write_what_it_shows(place):
    shows = "import os\nprint(os.environ.get('MAMMOSEG_PUBLISH'))"
    nbformat.write(_notebook(shows), place / "01_a.ipynb")
    stated, own = run_notebook("01_a"), run_notebook("01_a", parameters={"n": 6})
    assert own.parts[-4:-1] == ("figures", "mine", "01_a")
    assert [nbformat.read(path, 4).cells[-1].outputs[0].text for path in (stated, own)] == ["1\n", "None\n"]
    notebooks.refresh_notebook("01_a")
    assert nbformat.read(place / "01_a.ipynb", 4).cells[-1].outputs[0].text == "1\n"
    assert "MAMMOSEG_PUBLISH" not in os.environ


def test_a_failing_cell_is_named_and_the_last_good_copy_stays(place):
    target = run_notebook("01_a")
    good = target.read_bytes()
    nbformat.write(_notebook("1 / 0"), place / "01_a.ipynb")
    with pytest.raises(NotebookError, match=r"01_a\.ipynb, cell \d+: ZeroDivisionError"):
        run_notebook("01_a")
    assert target.read_bytes() == good
    assert target.with_name("failed.ipynb").exists()
    assert {p.name for p in target.parent.iterdir()} == {"executed.ipynb", "executed.json", "failed.ipynb"}


def test_unknown_names_list_the_known_ones(place):
    with pytest.raises(NotebookError, match="there are: 01_a"):
        run_notebook("02_b")
    with pytest.raises(NotebookError, match="no profile is called 'slow'"):
        profile_parameters("slow", "01_a")


def test_refreshing_stores_outputs_and_nothing_that_changes_by_itself(place):
    notebooks.refresh_notebook("01_a")
    first = (place / "01_a.ipynb").read_bytes()
    notebooks.refresh_notebook("01_a")
    assert (place / "01_a.ipynb").read_bytes() == first
    assert nbformat.read(place / "01_a.ipynb", 4).cells[-1].outputs[0].text == "1 a demo notebooks\n"


def test_the_digest_sees_code_and_nothing_else(place):
    path = place / "01_a.ipynb"
    before = notebook_digest(path)
    notebooks.refresh_notebook("01_a")  # outputs, execution counts, metadata
    content = nbformat.read(path, 4)
    content.cells[0].source = "# Another title"
    nbformat.write(content, path)
    assert notebook_digest(path) == before
    content.cells[2].source += "\nprint(2)"
    nbformat.write(content, path)
    assert notebook_digest(path) != before


@pytest.mark.parametrize("name", ALL)
def test_committed_notebooks_keep_the_house_rules(name):
    content = nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", 4)
    nbformat.validate(content)
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    prose = "\n".join(cell.source for cell in content.cells if cell.cell_type == "markdown")
    assert content.cells[0].source.startswith("# ")
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    for line in tagged[0].source.splitlines():
        assert re.fullmatch(r"\w+: [\w\[\], |]+ = .+  # .+", line), (
            f"not a typed, commented parameter: {line}"
        )
    assert any("version_line()" in cell.source for cell in code)
    assert all(f"## {word}" in prose for word in ("What was written", "Check yourself", "Exercises"))
    assert (paths.NOTEBOOKS / "solutions" / f"{name}.ipynb").exists()
    assert all(cell.execution_count for cell in code), "committed without outputs"
    assert not any(line.rstrip().endswith(";") for cell in code for line in cell.source.splitlines())
    assert not any("raises-exception" in cell.metadata.get("tags", []) for cell in code)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)


OPENING = (
    r"\*\*[^*]+\?\*\*",
    r"\*\*After it\*\*",
    r"\*\*Read before\*\*",
    r"\*\*Takes\*\*",
    r"\*\*Needs\*\*",
)
TOLD = [name for name in ALL if "**After it**" in _opening(name)]


@pytest.mark.parametrize("name", TOLD)
def test_a_notebook_is_told_as_a_story(name):
    """The order of a notebook: one question, what it takes, the story, what was found, exercises, files."""
    content = nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", 4)
    missing = [part for part in OPENING if not re.search(part, content.cells[0].source)]
    assert not missing, f"the opening lacks {missing}"
    headings = [
        line for cell in content.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()
    ]
    headings = [line[3:] for line in headings if line.startswith("## ")]
    assert headings[-4:] == ["What was found", "Check yourself", "Exercises", "What was written"]
    for number, cell in enumerate(content.cells):
        if cell.cell_type == "code":
            lines = [line for line in cell.source.splitlines() if line.strip()]
            assert len(lines) <= 20, f"cell {number} has {len(lines)} lines"
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    assert output.metadata.get("image/png", {}).get("alt"), (
                        f"cell {number}: a picture without alt"
                    )


@pytest.mark.parametrize("path", sorted(paths.NOTEBOOKS.rglob("[!.]*.ipynb")), ids=lambda path: path.stem)
def test_no_notebook_carries_a_warning_or_a_folder_of_the_machine_that_ran_it(path):
    text = path.read_text()
    assert "Warning: " not in text
    assert str(paths.PROJECT) not in text
    assert "/home/" not in text
    assert "/tmp/" not in text


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_set_parameters_that_the_notebooks_have(profile, name):
    check_parameters(paths.NOTEBOOKS / f"{name}.ipynb", profile_parameters(profile, name))


@pytest.mark.parametrize("name", ALL)
def test_committed_defaults_are_the_demo_profile(name):
    known = parameters_of(paths.NOTEBOOKS / f"{name}.ipynb")
    demo = profile_parameters("demo", name)
    assert {key: known[key] for key in demo} == demo


def test_parameters_are_read_whatever_characters_their_values_hold(place):
    text = "a: str = 'x = 1 # no | comment'  # said\nb: dict = {'k': [1, (2, None)]}  # |\nc: float = -1e-3"
    nbformat.write(_notebook("print(a, b, c)", parameters=text), place / "01_a.ipynb")
    values = {"a": "x = 1 # no | comment", "b": {"k": [1, (2, None)]}, "c": -1e-3}
    assert parameters_of(place / "01_a.ipynb") == values
    target = run_notebook("01_a", parameters={"a": "= | #"})
    assert nbformat.read(target, 4).cells[-1].outputs[0].text.startswith("= | # {'k'")


@pytest.mark.parametrize("error", [RuntimeError("Kernel died"), DeadKernelError("died"), TimeoutError("no")])
def test_a_kernel_that_dies_is_an_error_of_its_notebook(place, monkeypatch, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr("papermill.execute_notebook", broken)
    with pytest.raises(NotebookError, match=r"01_a\.ipynb could not be executed to its end"):
        run_notebook("01_a")


def test_no_figure_is_left_of_what_a_notebook_no_longer_writes():
    """All that a notebook wrote is of one version of it: the rest is of a cell that is gone."""
    versions: dict[str, set[str]] = {}
    for sidecar in (paths.PROJECT / "figures").rglob("*.json"):
        if not {"real", "mine", "trained"} & set(sidecar.parts):
            record = json.loads(sidecar.read_text(encoding="utf-8"))
            versions.setdefault(record["notebook"], set()).add(record["notebook_code"])
    assert [name for name, each in versions.items() if len(each) > 1 or name not in ALL] == []
    assert len(versions) > 15
