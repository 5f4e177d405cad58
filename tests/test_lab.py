from __future__ import annotations

import json
from pathlib import Path

import pytest
from jupyter_client.kernelspec import get_kernel_spec

from mammoseg_lib import lab, paths


def test_jupyterlab_opens_notebook_00_with_the_repository_as_its_root():
    command = lab.command()
    assert f"--ServerApp.root_dir={paths.PROJECT}" in command
    assert f"--LabApp.default_url=/lab/tree/{lab.START}" in command
    assert (paths.PROJECT / lab.START).exists()
    assert {"--no-browser", "--allow-root"}.isdisjoint(command)
    assert lab.environment()["MAMMOSEG_EXPLORE"] == "1"


def test_a_kernel_of_another_environment_in_the_users_folder_is_not_used(monkeypatch, tmp_path):
    for name, value in lab.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps({"argv": ["another"], "display_name": "Another"}))
    assert get_kernel_spec("python3").argv != ["another"]


def test_port_address_browser_and_root_are_passed_on():
    command = lab.command(9000, "0.0.0.0", browser=False, root=True)
    assert {"--ServerApp.port=9000", "--ServerApp.ip=0.0.0.0", "--no-browser", "--allow-root"} <= set(command)


def test_every_option_is_one_that_jupyterlab_knows():
    labapp = pytest.importorskip("jupyterlab.labapp", reason="JupyterLab is not installed")
    from jupyter_server.serverapp import ServerApp

    known = {"ServerApp": ServerApp.class_traits(), "LabApp": labapp.LabApp.class_traits()}
    options = [text[2:].partition("=")[0].split(".") for text in lab.command() if "=" in text]
    assert len(options) == 5
    assert all(trait in known[owner] for owner, trait in options)
    assert {"no-browser", "allow-root"} <= set(labapp.LabApp().flags)


def test_settings_are_ones_that_jupyterlab_knows():
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    from jupyterlab.commands import get_app_dir

    settings = json.loads((lab.SETTINGS / "overrides.json").read_text())
    for plugin, values in settings.items():
        package, _, name = plugin.partition(":")
        schema = Path(get_app_dir()) / "schemas" / package / f"{name}.json"
        assert set(values) <= set(json.loads(schema.read_text())["properties"]), plugin
