"""What local clusters leave in the store so that they are found again: addresses, locks, the certificate, the log.

There is one cluster for each store, machine and version of the code. Its files stand in ``cluster/<host>/``:

    <digest>.json   where it listens; touched every second, so that a silent one counts as gone; removing it ends it
    <digest>.lock   held by the cluster's process as long as it lives
    start.lock      held while one is looked for, started or given work, and while one decides to leave
    current         the digest of the newest; the others leave as soon as they are idle
    private/        the certificate without which no connection is accepted
    log.txt         what the clusters and their workers print
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from cka_core.base import deployment, leftovers, records
from cka_core.base.store import Store
from cka_core.jobs.schemas import ClusterRecord

if TYPE_CHECKING:
    from distributed.security import Security

log = logging.getLogger(__name__)

SILENT_AFTER = 15.0  # seconds without a sign of life after which a process counts as gone
CERTIFICATE_SECONDS = 180 * 86400  # it is valid for twice as long
VERSIONED = ("tensorflow", "keras", "numpy", "distributed")


class ClusterUnavailable(RuntimeError):
    """No cluster can be reached or started; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A local cluster as its address file tells it.

    ``id`` names this very process; ``created`` is when the operating system says that it began; ``memory_limits`` has
    the bytes that the worker of each role may use. ``alive`` and ``current`` are found out when the file is read.
    """

    id: str
    digest: str
    address: str
    pid: int
    created: float
    host: str
    memory_limits: dict[str, int] = dataclasses.field(default_factory=dict)
    alive: bool = True
    current: bool = True

    @property
    def name(self) -> str:
        """What job records call it."""
        return f"{self.host}/{self.digest}/{self.id}"


def folder(store: Store) -> Path:
    """Where this machine keeps the files of its clusters in the store.

    Raises `ClusterUnavailable` unless the store is a local folder.
    """
    if not store.is_local:
        raise ClusterUnavailable(
            f"The store {store.root} is not a folder of this machine, so the local cluster cannot use it. Set "
            "CKA_SCHEDULER to the address of a cluster whose machines all reach the store, or CKA_STORE to a folder."
        )
    return Path(store.path(f"cluster/{host()}"))


def root(store: Store) -> str:
    """What other processes call the store."""
    return str(Path(store.path("."))) if store.is_local else store.root


def host() -> str:
    """This machine's name. Machines may share a store, in a home folder say, but do not reach each other's loopback."""
    return re.sub(r"[^\w.-]", "_", platform.node() or "localhost")


def version_digest() -> str:
    """What a new worker would run: the source of cka_core on disk, the main versions, and the limits it keeps to."""
    seen = hashlib.sha256(platform.python_version().encode())
    if rules := deployment.rules():  # a cluster that began with others leaves when it is idle
        seen.update(rules.encode())
    package = Path(__file__).parent.parent
    for path in sorted(package.rglob("*.py")):
        seen.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    for name in VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            seen.update(f"{name} {importlib.metadata.version(name)}\0".encode())
    return seen.hexdigest()[:16]


# Addresses.


def address_file(home: Path, digest: str) -> Path:
    return home / f"{digest}.json"


def publish(home: Path, digest: str, address: str, memory_limits: dict[str, int]) -> Cluster:
    """Tell where this process's cluster listens, and that it is the newest."""
    import psutil

    created = psutil.Process().create_time()
    cluster = Cluster(uuid.uuid4().hex[:12], digest, address, os.getpid(), created, host(), memory_limits)
    values = {name: value for name, value in dataclasses.asdict(cluster).items() if name not in ("alive", "current")}
    replace(address_file(home, digest), json.dumps(values).encode())
    set_current(home, digest)
    return cluster


def read(home: Path, digest: str) -> Cluster | None:
    """The cluster of a version; None if there is no address file of it. Another version's file may say other things."""
    path = address_file(home, digest)
    known = {field.name for field in dataclasses.fields(Cluster)} - {"alive", "current"}
    try:
        told = records.parse(path.read_bytes())
        age = time.time() - path.stat().st_mtime
    except (OSError, ValueError):
        return None
    if records.wrong(told, ClusterRecord) is not None:
        return None
    cluster = Cluster(**{name: value for name, value in told.items() if name in known})
    alive = age < SILENT_AFTER and (cluster.host != host() or is_running(cluster))
    return dataclasses.replace(cluster, alive=alive, current=current(home) in (None, digest))


def is_alive(name: str, store: Store) -> bool:
    """Whether the cluster with this name is there. One that is not of this kind, but remote, is believed to be."""
    if "://" in name:
        return True
    if name.count("/") != 2:
        return False
    where, digest, identity = name.split("/")
    cluster = read(Path(store.path(f"cluster/{where}")), digest)
    return cluster is not None and cluster.id == identity and cluster.alive


def is_running(cluster: Cluster) -> bool:
    """Whether its process exists on this machine."""
    import psutil

    try:
        process = psutil.Process(cluster.pid)
        same = abs(process.create_time() - cluster.created) < 2.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def current(home: Path) -> str | None:
    """The digest of the newest cluster."""
    try:
        return (home / "current").read_text()
    except OSError:
        return None


def set_current(home: Path, digest: str) -> None:
    if current(home) != digest:
        replace(home / "current", digest.encode())


def log_file(home: Path) -> Path:
    return home / "log.txt"


def about_workers(store: Store, role: str | None = None) -> str:
    """How much memory the workers may use, or that of a role, and where their output is: for error messages."""
    if os.environ.get("CKA_SCHEDULER") or not store.is_local:
        return "The log of the Dask worker says more."
    home = folder(store)
    found = read(home, current(home) or "")
    limits = found.memory_limits if found else {}
    shown = [name for name in limits if role in (None, name)]
    told = [f"The {name} worker may use {limits[name] / 2**30:.1f} GB. " for name in shown]
    return f"{''.join(told)}{where_log(home)}"


def where_log(home: Path) -> str:
    """Where the output of the workers is; the visitors of a class are not told this machine's folders."""
    log = log_file(home)
    if deployment.mode() == deployment.OPEN:
        return f"Log: {log}"
    return f"Whoever runs this finds the log in the store, in cluster/{home.name}/{log.name}."


def replace(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file in one step, with its permissions right from the beginning; where that fails nothing is left."""
    temporary = leftovers.temporary(str(path))
    with leftovers.writing(temporary, os.unlink, len(data)):
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
        os.replace(temporary, path)


# Locks and the certificate.


def security(home: Path) -> Security:
    """The certificate that both sides of every local connection show; made when missing or half a year old.

    Raises `ClusterUnavailable` where its key is another user's.
    """
    from distributed.security import Security

    private = home / "private"
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = private / "cluster.pem"
    if not pem.exists() or time.time() - pem.stat().st_mtime > CERTIFICATE_SECONDS:
        made = Security.temporary()
        private.chmod(0o700)
        replace(pem, (made.tls_client_cert + made.tls_client_key).encode(), mode=0o600)
    _keep_private(private, pem)
    certificates = {f"tls_{role}_cert": str(pem) for role in ("client", "scheduler", "worker")}
    return Security(require_encryption=True, tls_ca_file=str(pem), **certificates)


def _keep_private(*places: Path) -> None:
    """Take back what others may do with the key, and say so; refuse one that another user put there."""
    if os.name == "nt":
        return  # the user's own folder is private there; modes say nothing
    for place in places:
        found = place.stat()
        if found.st_uid != os.getuid():
            raise ClusterUnavailable(
                f"{place} belongs to another user, who can read what goes to and from the cluster. Remove it, or set "
                "CKA_STORE to a folder of your own."
            )
        if found.st_mode & 0o077:
            place.chmod(found.st_mode & 0o700)
            log.warning(
                "Others could read %s, the key of the local cluster; its permissions are mended. If somebody may have: "
                "python -m cka_core cluster stop, remove the file, and another one is made.",
                place,
            )
