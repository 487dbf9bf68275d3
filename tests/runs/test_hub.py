"""`load` of a folder on a model hub, whose interface a local server imitates."""

import hashlib
import http.server
import importlib
import json
import threading

import chex
import jax
import pytest

import realnvp_jax
from tests.helpers import refusal

pytest.importorskip("huggingface_hub")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """The part of the hub's interface that a snapshot needs: the list of files, and each file."""

    folder = None

    def do_HEAD(self):
        self.answer(send=False)

    def do_GET(self):
        self.answer(send=True)

    def answer(self, send):
        path = self.path.partition("?")[0]
        if path == "/api/models/me/flow/revision/main":
            files = [{"rfilename": file.name} for file in self.folder.iterdir()]
            self.reply(
                json.dumps({"id": "me/flow", "sha": COMMIT, "siblings": files}).encode(), send, "application/json"
            )
        elif path == f"/api/models/me/flow/tree/{COMMIT}":  # of newer versions of huggingface_hub
            files = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "0"}
                for file in self.folder.iterdir()
            ]
            self.reply(json.dumps(files).encode(), send, "application/json")
        elif path.startswith(f"/me/flow/resolve/{COMMIT}/"):
            self.reply((self.folder / path.rpartition("/")[2]).read_bytes(), send, "application/octet-stream")
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def reply(self, content, send, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if send:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    flow = realnvp_jax.vector_flow(2, num_layers=2, hidden=(4,))
    params = flow.init(jax.random.key(0))
    realnvp_jax.save(tmp_path / "published", flow, params)
    (tmp_path / "published" / "README.md").write_text("a card")
    monkeypatch.setattr(Hub, "folder", tmp_path / "published")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    constants = importlib.import_module("huggingface_hub.constants")
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield flow, params
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.filterwarnings("ignore")  # of huggingface_hub and its dependencies
def test_a_flow_is_downloaded_and_loaded(hub):
    flow, params = hub
    loaded, loaded_params = realnvp_jax.load("hf://me/flow")
    assert loaded == flow
    chex.assert_trees_all_equal(loaded_params, params)
    assert "expected a published flow at 'hf://me/other'; got" in refusal(realnvp_jax.load, "hf://me/other")


def test_addresses_are_checked(monkeypatch):
    text = refusal(realnvp_jax.load, "hf://flow")
    assert text == "expected hf://owner/name or hf://owner/name@revision; got 'hf://flow'"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'realnvp-jax[hub]'" in refusal(realnvp_jax.load, "hf://me/flow")
