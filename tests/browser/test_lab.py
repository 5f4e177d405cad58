"""JupyterLab as a learner uses it: `make lab`, a link, two notebooks, a slider, a loss of one's own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import nbformat
import pytest

from mammoseg_lib import lab, paths

pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
pytestmark = pytest.mark.slow

RUN = ("10_bce_failure_cases", "11_spatial_matching_loss")
OWN_LOSS = """
from mammoseg_lib.losses import Batch, Loss
class Own(Loss):
    def forward(self, logits, batch):
        return (logits.sigmoid() - batch.target).square().mean((1, 2, 3))
own = Own()(torch.zeros(3, 1, 8, 8), Batch(torch.ones(3, 1, 8, 8)))
print("own loss:", own.tolist())
"""


class Server:
    """A JupyterLab on a copy of the notebooks, with a port, a token and settings of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.home = folder / "home"
        _copy_project(self.root)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.token = secrets.token_hex(16)
        self.address = f"http://127.0.0.1:{port}"
        self.log = folder / "server.log"
        arguments = lab.command(port, "127.0.0.1", browser=False, root=_is_root(), folder=self.root)
        own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        own |= {"IPYTHONDIR": str(folder / "ipython"), "MAMMOSEG_HOME": str(self.home)}
        own |= {"PYTHONPATH": str(paths.PROJECT), "OMP_NUM_THREADS": "1", "JUPYTER_TOKEN": self.token}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                arguments, cwd=self.root, env=lab.environment() | own, stdout=log, stderr=subprocess.STDOUT
            )
        _wait(self._answers, 120, lambda: f"JupyterLab did not start:\n{self.log.read_text()}")

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"JupyterLab ended:\n{self.log.read_text()}"
        try:
            return bool(self.get("status"))
        except OSError:
            return False

    def get(self, what: str) -> object:
        """An answer of the server's REST interface."""
        with urlopen(f"{self.address}/api/{what}?token={self.token}", timeout=10) as response:
            return json.load(response)

    def cells(self, name: str) -> list:
        """The code cells of a notebook as they were saved last."""
        path = self.root / "notebooks" / f"{name}.ipynb"
        for _ in range(100):
            try:
                cells = nbformat.read(path, as_version=4).cells
            except nbformat.reader.NotJSONError:  # the server is just writing it
                time.sleep(0.1)
            else:
                return [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
        raise AssertionError(f"{path} is not whole")

    def stop(self) -> None:
        """End the server, and with it its kernels."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _copy_project(root: Path) -> None:
    shutil.copytree(paths.NOTEBOOKS, root / "notebooks")
    (root / "data").mkdir()
    shutil.copyfile(paths.PROJECT / "data" / "README.md", root / "data" / "README.md")
    for name in RUN:  # without outputs, so that what is seen was made here
        path = root / "notebooks" / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, path)


def _wait(holds: Callable[[], bool], seconds: float, message: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, message()
        time.sleep(0.25)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """A running JupyterLab."""
    started = Server(tmp_path_factory.mktemp("lab"))
    yield started
    started.stop()


@pytest.fixture
def page(browser, server) -> Iterator[object]:
    """JupyterLab as `make lab` opens it; ends with an error if the page had one."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(120_000)
    errors, elsewhere = [], []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("request", lambda request: elsewhere.append(request.url))
    opened.goto(f"{server.address}/lab/tree/{lab.START}?token={server.token}")
    yield opened
    context.close()
    assert errors == []
    outside = [url for url in elsewhere if not url.startswith((server.address, "data:", "blob:"))]
    assert outside == []


def _notebook(page, name: str) -> object:
    """The panel of a notebook, in front."""
    page.get_by_role("tab", name=f"{name}.ipynb").wait_for()
    panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    panel.locator("h1").first.wait_for()
    return panel


def _run_all(page, server: Server, name: str) -> object:
    """Run a notebook to its end; returns its panel. An error in a cell is an error here."""
    panel = _notebook(page, name)

    def has_kernel() -> bool:
        page.wait_for_timeout(500)
        sessions = [each for each in server.get("sessions") if each["path"].endswith(f"{name}.ipynb")]
        return bool(sessions) and sessions[0]["kernel"]["execution_state"] == "idle"

    # What is run before the notebook's own kernel is there is lost without a word.
    _wait(has_kernel, 120, lambda: f"{name} has no kernel\n{server.log.read_text()[-2000:]}")
    page.get_by_text("| Idle").wait_for()
    page.wait_for_timeout(2000)  # until the page has heard of it, too
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def finished() -> bool:
        page.wait_for_timeout(2000)
        page.keyboard.press("Control+s")
        return done() > before or bool(_errors(server, name))

    def done() -> int:
        return sum(bool(cell.execution_count) for cell in server.cells(name))

    def state() -> str:
        picture = server.home.parent / f"{name}.png"
        page.screenshot(path=picture)
        return f"{name} stopped after {done()} cells; see {picture}\n{server.log.read_text()[-2000:]}"

    # On a busy machine a notebook may take its time, but no cell of these two takes minutes.
    while (before := done()) < len(server.cells(name)) and not _errors(server, name):
        _wait(finished, 120, state)
    assert _errors(server, name) == []
    return panel


def _errors(server: Server, name: str) -> list[str]:
    outputs = [output for cell in server.cells(name) for output in cell.outputs]
    return [
        output.get("evalue") or output.text
        for output in outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


def test_a_first_hour_with_the_notebooks(page, server):
    start = _notebook(page, "00_start_here")
    start.get_by_role("link", name="data/README.md").first.click()
    page.get_by_role("heading", name="Data", exact=True).wait_for()  # shown as a page, not as its source
    page.get_by_role("tab", name="00_start_here.ipynb").click()
    start.locator('a[href*="10_bce_failure_cases.ipynb"]').first.click()

    panel = _run_all(page, server, "10_bce_failure_cases")
    slider = panel.get_by_role("slider").first
    slider.scroll_into_view_if_needed()
    picture = panel.locator("img.widget-image, .widget-image img").first
    before = picture.screenshot()
    assert picture.screenshot() == before
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    _wait(lambda: picture.screenshot() != before, 30, lambda: "the picture does not follow the slider")

    panel.locator(".jp-Cell").last.click(position={"x": 5, "y": 5})
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.insert_text(OWN_LOSS.strip())
    page.keyboard.press("Shift+Enter")
    panel.get_by_text("own loss: [0.25, 0.25, 0.25]").wait_for()

    page.get_by_role("tab", name="00_start_here.ipynb").click()
    start.locator('a[href*="11_spatial_matching_loss.ipynb"]').first.click()
    _run_all(page, server, "11_spatial_matching_loss")
    written = {path.relative_to(server.home / "figures").parts[0] for path in server.home.rglob("*.png")}
    assert written == {"mine"}
    assert "Traceback" not in server.log.read_text()
