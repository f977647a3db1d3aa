from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ml import artifact, ir
from ml.artifact import ArtifactError
from ml.serving.network import HeadSpec, NetworkSpec, build
from ml.serving.preprocessing import Preprocessing
from tests.ml.conftest import TINY
from tests.ml.serving.conftest import CLASSES, write_run

Members = dict[str, bytes]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its archive. Shared: not to be changed."""
    folder = tmp_path_factory.mktemp("run") / "tiny"
    write_run(folder)
    artifact.build(folder)
    return folder


@pytest.fixture
def archive(run: Path) -> Path:
    return run / artifact.ARCHIVE


def members_of(archive: Path) -> Members:
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def pack(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_an_archive_holds_what_the_contract_names_sorted_and_without_traces(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    names = [member.name for member in members]
    assert names == sorted(names)
    serving = {f"code/serving/{path.name}" for path in (ROOT / "ml" / "serving").glob("*.py")}
    assert set(names) == (serving - {"code/serving/inference.py"}) | {
        "manifest.json",
        "model.safetensors",
        "model.xml",
        "model.bin",
        "golden.png",
        "code/inference.py",
        "code/guarded_fetch.py",
    }
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
    assert archive.read_bytes()[3:10] == b"\0\0\0\0\0\4\xff"  # gzip: no name, time 0


def test_no_file_in_it_is_a_pickle_or_names_a_path_of_this_machine(archive: Path, run: Path) -> None:
    for name, content in members_of(archive).items():
        assert not content.startswith(b"\x80"), name
        assert str(ROOT).encode() not in content, name
        assert str(run).encode() not in content, name


def test_packing_again_gives_the_same_bytes_here_and_in_another_process(archive: Path, run: Path) -> None:
    before = artifact.sha256_of(archive)
    assert artifact.build(run) == (archive, before)
    script = (
        "import sys; from pathlib import Path; from ml import artifact; "
        "print(artifact.build(Path(sys.argv[1]))[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(run)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == before


def test_a_graph_has_names_that_tell_its_places_only(tmp_path: Path) -> None:
    module = build(NetworkSpec(TINY, HeadSpec(), 3))
    preprocessing = Preprocessing(182, 160, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        ir.write(module, preprocessing, folder)
    assert (tmp_path / "a" / "model.xml").read_bytes() == (tmp_path / "b" / "model.xml").read_bytes()
    text = (tmp_path / "a" / "model.xml").read_text()
    assert set(re.findall(r'names="([^"]+)"', text)) == {"images", "logits"}
    assert 'shape="?,160,160,3"' in text


def test_an_archive_proves_itself_with_its_own_code(archive: Path) -> None:
    assert artifact.verify(archive)["classes"] == CLASSES


def test_the_manifest_is_read_without_unpacking(archive: Path) -> None:
    assert artifact.inspect(archive) == json.loads(members_of(archive)["manifest.json"])


def golden_of_another_class(members: Members) -> None:
    manifest = json.loads(members["manifest.json"])
    manifest["golden"]["label"] = (manifest["golden"]["label"] + 1) % len(CLASSES)
    members["manifest.json"] = json.dumps(manifest).encode()


def other_weights(members: Members) -> None:
    from safetensors.torch import load, save

    tensors = load(members["model.safetensors"])
    members["model.safetensors"] = save(
        {**tensors, "head.bias": tensors["head.bias"] + torch.tensor([0.5, 0, 0])}
    )


def damaged_graph(members: Members) -> None:
    members["model.xml"] = members["model.xml"][:1000]


def code_that_imports_the_project(members: Members) -> None:
    members["code/serving/engine.py"] += b"\nimport ml.errors\n"


def code_that_does_not_run(members: Members) -> None:
    members["code/inference.py"] = b"raise SystemExit('broken handlers')\n"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (golden_of_another_class, "golden image"),
        (other_weights, "the engines differ by|golden image"),
        (damaged_graph, "openvino engine loads the model"),
        (code_that_imports_the_project, "No module named 'ml'"),
        (code_that_does_not_run, "broken handlers"),
    ],
)
def test_a_model_that_does_not_answer_as_it_should_is_refused(
    archive: Path, tmp_path: Path, spoil: Callable[[Members], None], message: str
) -> None:
    members = members_of(archive)
    spoil(members)
    with pytest.raises(ArtifactError) as caught:
        artifact.verify(pack(tmp_path / "model.tar.gz", members))
    assert caught.value.rule.startswith("A model must load and answer its golden image, with both engines")
    assert re.search(message, str(caught.value.received))


@pytest.mark.parametrize(
    "name", ["model.pth", "code/serving/evil.pkl", "../evil.py", "/evil.py", "code/serving/../../evil.py"]
)
def test_what_does_not_belong_into_an_archive_is_refused(archive: Path, tmp_path: Path, name: str) -> None:
    spoiled = pack(tmp_path / "model.tar.gz", members_of(archive) | {name: b"x"})
    with pytest.raises(ArtifactError) as caught, artifact.unpacked(spoiled):
        pass
    assert caught.value.rule == "An archive must hold what a model consists of, each once and nothing else"
    assert f"odd: {name}" in str(caught.value.received)


def test_a_link_in_an_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        link = tarfile.TarInfo("golden.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    with (
        pytest.raises(ArtifactError, match=r"odd: golden\.jpg"),
        artifact.unpacked(tmp_path / "model.tar.gz"),
    ):
        pass


def test_a_missing_member_is_named(archive: Path, tmp_path: Path) -> None:
    members = members_of(archive)
    del members["model.bin"]
    with pytest.raises(ArtifactError, match=r"missing: model\.bin"):
        artifact.verify(pack(tmp_path / "model.tar.gz", members))


def test_an_archive_that_unpacks_to_too_much_is_refused(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "_MAX_BYTES", 1000)
    with pytest.raises(ArtifactError, match="must unpack to at most 1,000 bytes"), artifact.unpacked(archive):
        pass


@pytest.mark.parametrize("read", [artifact.verify, artifact.inspect])
@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"no tar", mtime=0), None])
def test_a_file_that_is_no_whole_archive_is_refused(
    archive: Path, tmp_path: Path, content: bytes | None, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(archive.read_bytes()[:3000] if content is None else content)
    with pytest.raises(ArtifactError, match=r"An archive must be a whole \.tar\.gz"):
        read(path)


def test_an_archive_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="An archive must exist"):
        artifact.inspect(tmp_path / "model.tar.gz")


@pytest.mark.parametrize("manifest", [None, b"{}", b'{"format": 1}', b"[]"])
def test_an_archive_without_a_manifest_of_ours_is_refused(tmp_path: Path, manifest: bytes | None) -> None:
    members = {"manifest.json": manifest} if manifest is not None else {"readme.txt": b"x"}
    with pytest.raises(ArtifactError, match=r"An archive must hold a manifest\.json of format 2"):
        artifact.inspect(pack(tmp_path / "model.tar.gz", members))


def test_weights_that_do_not_fit_the_manifest_are_not_packed(run: Path, tmp_path: Path) -> None:
    for name in ("manifest.json", "golden.png"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    tensors = load_file(run / artifact.RUN_WEIGHTS)
    del tensors["head.bias"]
    save_file(tensors, tmp_path / artifact.RUN_WEIGHTS)
    with pytest.raises(RuntimeError, match=r"head\.bias"):
        artifact.build(tmp_path)
    assert not (tmp_path / artifact.ARCHIVE).exists()
