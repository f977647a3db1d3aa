from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ops.lambda_package import LambdaPackageError, build

SOURCE = Path(__file__).parents[2] / "lambda"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "lambda"
    folder.mkdir()
    (folder / "handler.py").write_bytes(b"import helper\n")
    (folder / "helper.py").write_bytes(b"A = 1\n")
    return folder


def test_the_zip_holds_the_modules_and_nothing_else(source: Path, tmp_path: Path) -> None:
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "handler.cpython-312.pyc").write_bytes(b"x")
    (source / "notes.txt").write_text("x")
    digest = build(source, tmp_path / "new" / "lambda.zip")
    with zipfile.ZipFile(tmp_path / "new" / "lambda.zip") as archive:
        entries = archive.infolist()
        assert [entry.filename for entry in entries] == ["handler.py", "helper.py"]
        assert archive.read("helper.py") == b"A = 1\n"
    for entry in entries:
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert entry.external_attr >> 16 == 0o100644
        assert entry.compress_type == zipfile.ZIP_STORED
    assert digest == hashlib.sha256((tmp_path / "new" / "lambda.zip").read_bytes()).hexdigest()


def test_the_bytes_do_not_depend_on_the_checkout(source: Path, tmp_path: Path) -> None:
    first = build(source, tmp_path / "1.zip")
    (source / "handler.py").write_bytes(b"import helper\r\n")
    (source / "helper.py").chmod(0o777)
    os.utime(source / "helper.py", (1, 1))
    assert build(source, tmp_path / "2.zip") == first


def test_the_bytes_are_known(source: Path, tmp_path: Path) -> None:
    assert (
        build(source, tmp_path / "1.zip")
        == "02dcdd65077cc2b3ce2186fe438965edcbaa13ae5ba13194240d945370cd039e"
    )


def test_an_unchanged_package_is_not_written_again(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "lambda.zip"
    build(source, out)
    os.utime(out, (1, 1))
    build(source, out)
    assert out.stat().st_mtime == 1


def test_a_folder_without_the_handler_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "handler.py").unlink()
    with pytest.raises(LambdaPackageError) as caught:
        build(source, tmp_path / "lambda.zip")
    assert caught.value.rule == "The folder of the Lambda must hold handler.py."
    assert caught.value.received == str(source)
    assert not (tmp_path / "lambda.zip").exists()


def test_the_real_package_imports_from_the_zip_with_only_the_standard_library(tmp_path: Path) -> None:
    build(SOURCE, tmp_path / "lambda.zip")
    program = """
import json, sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
import handler
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps([handler.__file__, sorted(new - set(sys.stdlib_module_names))]))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(tmp_path / "lambda.zip")],
        capture_output=True,
        text=True,
        check=True,
    )
    file, foreign = json.loads(done.stdout)
    assert file == str(tmp_path / "lambda.zip" / Path("handler.py"))
    assert foreign == sorted(module.stem for module in SOURCE.glob("*.py"))
