"""The ward board in a real browser: what happens is on it without a reload, also after its server was started again under it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from clinic.app import open_clinic
from dateline import Runner
from tests.browser import browser, needed
from tests.clinic.conftest import ROOT
from versions.v2018_07_30.drugs import ListDrug
from versions.v2018_07_30.patients import RegisterPatient
from versions.v2018_07_30.prescriptions import SubmitPrescription

ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}

pytestmark = needed


@contextmanager
def served(folder: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "clinic", "serve", "--database", "sqlite:///clinic.db", "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    ends = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            break
        except OSError:
            assert time.monotonic() < ends, "the board is not served"
            time.sleep(0.05)
    try:
        yield
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def page() -> Iterator[Page]:
    with browser() as opened:
        yield opened.new_page(viewport={"width": 900, "height": 700})


def test_a_change_is_on_the_board_without_a_reload_also_after_a_restart(tmp_path: Path, page: Page) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open_clinic(f"sqlite:///{tmp_path / 'clinic.db'}") as runner:
        runner.dispatch(ListDrug(drug="ibuprofen", ingredient="ibuprofen"), actor="pharmacy")
        with served(tmp_path, port):
            page.goto(f"http://127.0.0.1:{port}/")
            expect(page.locator("#state")).to_have_text("live", timeout=15_000)
            page.evaluate(
                "window.unloaded = false; window.addEventListener('pagehide', () => { window.unloaded = true })"
            )
            expect(page.locator("#events li")).to_have_count(1)

            registered(runner, "ann")
            expect(page.locator("#events li").first).to_contain_text(
                "patient.register patient:ann · by desk", timeout=5_000
            )
            assert "Ann" not in page.content()

        expect(page.locator("#state")).to_have_text("closed", timeout=15_000)
        registered(runner, "bob")
        with served(tmp_path, port):
            expect(page.locator("#state")).to_have_text("live", timeout=20_000)
            expect(page.locator("#events li").first).to_contain_text("patient:bob", timeout=10_000)
            event = SubmitPrescription(patient="ann", drug="ibuprofen", dose="200 mg", days=2)
            runner.dispatch(event, actor="dr-7")
            first = page.locator("#events li").first
            expect(first).to_contain_text("prescription.submit", timeout=5_000)
            expect(first).to_contain_text("patient.notify: delivered", timeout=10_000)
            expect(page.locator("#events li")).to_have_count(4)
        assert page.evaluate("window.unloaded") is False


def registered(runner: Runner, name: str) -> None:
    runner.dispatch(RegisterPatient(patient=name, name=name.title(), phone="+31 555 0100"), actor="desk")
