"""Paths on the disk (`pathlib.Path`) and in object stores (`RemotePath`, s3:// and gs://).

Everything is read through pyarrow's file systems. What they lack is done through fsspec's (s3fs, gcsfs):
creation of an object only if there is none of that name, and uploads that can be given up.
"""

from __future__ import annotations

import errno
import fnmatch
import functools
import io
import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import unquote, urlsplit

from zeroiqa.errors import UserError, printable

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileInfo, FileSystem

_REMOTE = re.compile(r"(s3|gs)://(.*)", re.DOTALL)
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")
_ONE_REQUEST = 64 << 20
"""Bytes that are uploaded in one piece; beyond, a replaced object is uploaded in pieces of that size."""
_CONFLICTS = 3
"""Times that a creation is tried while another one of the same object is under way."""
_PATIENCE = 15
"""Seconds for which a request to Google's store is repeated."""

_CREDENTIALS = {
    "s3": "the credentials (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)",
    "gs": "the credentials (GOOGLE_APPLICATION_CREDENTIALS, or gcloud auth application-default login)",
}
_ENDPOINT = {"s3": " and AWS_ENDPOINT_URL", "gs": ""}


class AccessDeniedError(UserError):
    """A store refuses what the credentials ask for; perhaps one object, perhaps all."""


class Entry(NamedTuple):
    """One object of a listing."""

    path: RemotePath
    bytes: int
    """Its size."""
    modified: int | None = None
    """Nanoseconds since 1970 (UTC); whole seconds, which all answers of a store have in common."""


@dataclass(frozen=True, order=True)
class RemotePath:
    """An object, or what precedes "/" in the names of objects, with the part of pathlib that runs use.

    Folders do not exist by themselves: one is there as long as an object is in it. Whatever the store refuses
    is a `UserError`; what is not there is the `FileNotFoundError` that it is on the disk.
    """

    scheme: str
    """s3 or gs."""
    key: str
    """Bucket and name, joined by "/", as they are: nothing is percent-encoded."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.key}"

    def __truediv__(self, other: str) -> RemotePath:
        """What is at a relative path from this folder; stores themselves know no `..`."""
        return RemotePath(self.scheme, posixpath.normpath(f"{self.key}/{other}"))

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.key.partition("/")[0]

    @property
    def top(self) -> RemotePath:
        """The bucket as a folder."""
        return RemotePath(self.scheme, self.bucket)

    @property
    def name(self) -> str:
        """What follows the last "/"."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The last suffix of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        """What precedes the last "/"; a bucket is its own parent."""
        return RemotePath(self.scheme, self.key.rpartition("/")[0] or self.key)

    def with_name(self, name: str) -> RemotePath:
        """Its neighbour of that name."""
        return self.parent / name

    def exists(self) -> bool:
        """Whether there is such an object or folder."""
        from pyarrow.fs import FileType

        return self._info().type != FileType.NotFound

    def is_file(self) -> bool:
        """Whether there is such an object."""
        return bool(self._info().is_file)

    def is_dir(self) -> bool:
        """Whether an object is in this folder."""
        from pyarrow.fs import FileType

        return self._info().type == FileType.Directory

    def size(self) -> int:
        """Bytes of the object; 0 if there is none."""
        return self._info().size or 0

    def entry(self) -> Entry:
        """What a listing says of the object; 0 bytes if there is none."""
        return self._entry(self._info())

    def iterdir(self) -> Iterator[RemotePath]:
        """What is in this folder; one listing."""
        return (RemotePath(self.scheme, info.path) for info in self._listed(recursive=False))

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """What in this folder has a name that matches the pattern; one listing. Nothing if there is none."""
        with suppress(FileNotFoundError):
            yield from (path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, pattern))

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """The objects below this folder whose name matches the pattern; one listing."""
        with suppress(FileNotFoundError):
            yield from (e.path for e in self.objects() if fnmatch.fnmatchcase(e.path.name, pattern))

    def objects(self) -> Iterator[Entry]:
        """Every object below this folder, by the bytes of their names; one listing.

        Raises:
            FileNotFoundError: there is no such folder; an empty bucket is one.
            UserError: the bucket does not exist, or the store refuses.
        """
        found = [info for info in self._listed(recursive=True) if info.is_file]
        found.sort(key=lambda info: os.fsencode(info.path))
        return (RemotePath(self.scheme, info.path)._entry(info) for info in found)

    def open(self, mode: str = "rb") -> NativeFile:
        """The object for reading, at any place of it.

        Raises:
            FileNotFoundError: there is none.
            UserError: the store refuses.
        """
        if mode != "rb":
            raise ValueError(f"{mode!r}: objects are written by `upload`")
        with explaining(self):
            return self._filesystem.open_input_file(self.key)

    def read_bytes(self) -> bytes:
        """The whole object."""
        with self.open() as file, explaining(self):
            return bytes(file.read())

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole object as text."""
        return self.read_bytes().decode(encoding)

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder appears with its first object."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        try:
            with explaining(self):
                _writer(self.scheme).rm_file(self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def upload(self, content: IO[bytes], *, exclusive: bool) -> None:
        """Write the object; it appears complete or not at all.

        Args:
            content: Read from its beginning.
            exclusive: Leave an object of that name as it is, however many create it at the same moment.

        Raises:
            UserError: the store refuses.
        """
        size = content.seek(0, io.SEEK_END)
        content.seek(0)
        with explaining(self):
            if exclusive:
                self._create(content.read())
            elif size <= _ONE_REQUEST:
                _writer(self.scheme).pipe_file(self.key, content.read())
            else:
                self._upload_in_pieces(content)

    def _create(self, data: bytes) -> None:
        """One conditional request (If-None-Match: * on S3, ifGenerationMatch=0 on Google's)."""
        for attempt in range(1, _CONFLICTS + 1):
            try:
                # In one piece, whatever its size: pieces of an interrupted upload would stay and cost money.
                _writer(self.scheme).pipe_file(self.key, data, mode="create", chunksize=2 << 30)
                return
            except FileExistsError:
                return
            except OSError as error:
                if error.errno != errno.EBUSY or attempt == _CONFLICTS:
                    raise

    def _upload_in_pieces(self, content: IO[bytes]) -> None:
        file = _writer(self.scheme).open(self.key, "wb", block_size=_ONE_REQUEST)
        try:
            shutil.copyfileobj(content, file, _ONE_REQUEST)
            file.close()
        except BaseException:
            file.discard()
            file.closed = True  # or it would be completed when it is collected
            raise

    def _entry(self, info: FileInfo) -> Entry:
        return Entry(self, info.size or 0, info.mtime_ns and info.mtime_ns // 10**9 * 10**9)

    @property
    def _filesystem(self) -> FileSystem:
        return _reader(self.scheme, self.bucket)

    def _info(self) -> FileInfo:
        with explaining(self):
            return self._filesystem.get_file_info([self.key])[0]

    def _listed(self, *, recursive: bool) -> list[FileInfo]:
        from pyarrow.fs import FileSelector

        with explaining(self):
            return self._filesystem.get_file_info(FileSelector(self.key, recursive=recursive))


Location: TypeAlias = Path | RemotePath


def is_remote(text: str) -> bool:
    """Whether a text is the address of an object or of a folder of objects."""
    return _REMOTE.match(text) is not None


def location(text: str | Path) -> Location:
    """The file or folder that a text means: s3://BUCKET/NAME, gs://BUCKET/NAME, file:///PATH or a path.

    Raises:
        UserError: another kind of address, or one without a bucket or with an empty part.
    """
    if isinstance(text, Path):
        return text
    remote = _REMOTE.match(text)
    if remote:
        key = remote[2].rstrip("/")
        if not key or key.startswith("/"):
            raise UserError(f"{printable(text)} names no bucket; write {remote[1]}://BUCKET/FOLDER.")
        if "//" in key:
            raise UserError(f"{printable(text)} has an empty part (//), which is not read; rename it.")
        return RemotePath(remote[1], key)
    address = _ADDRESS.match(text)
    if address and address[1].lower() == "file":
        return Path(unquote(urlsplit(text).path))
    if address:
        raise UserError(
            f"{printable(text)}: {address[1]}:// is not read or written; give a path, s3:// or gs://."
        )
    return Path(text)


def explained(error: Exception, path: RemotePath) -> Exception:
    """What a store says, as one sentence; what is not there, as on the disk; else the error itself."""
    text = " ".join(f"{type(error).__name__} {error}".split())
    named = printable(str(path))
    for pattern, kind, sentence in _SENTENCES:
        if re.search(pattern, text):
            return kind(
                sentence.format(
                    path=named,
                    bucket=f"{path.scheme}://{path.bucket}",
                    credentials=_CREDENTIALS[path.scheme],
                    endpoint=_ENDPOINT[path.scheme],
                )
            )
    if text.startswith("OSError No such file"):  # a folder of Google's store
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), named)
    if not isinstance(error, FileNotFoundError) and re.search(
        r"AWS Error|google::cloud|botocore|gcsfs|HttpError", text
    ):
        return UserError(f"{named} cannot be reached ({text[:300]}); run the same command again.")
    return error


_SENTENCES = (
    (
        r"NO_SUCH_BUCKET|NoSuchBucket|bucket does not exist|NOT_FOUND.*ListObjects|"
        r"FileNotFoundError .*/upload/",
        UserError,
        "The bucket {bucket} does not exist; create it, or correct the name.",
    ),
    (
        r"NoCredentials|DefaultCredentials|OAuth2 access token|"
        r"Anonymous caller|UNAUTHENTICATED|Unable to locate credentials",
        UserError,
        "{path} needs credentials and none are found; set {credentials}.",
    ),
    (
        r"INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT|Access Key Id|signature|EXPIRED_TOKEN|ExpiredToken|"
        r"InvalidToken|provided token|UNRECOGNIZED_CLIENT|RefreshError",
        UserError,
        "{path} is refused: the credentials are wrong or have expired; renew {credentials}.",
    ),
    (
        r"ACCESS_DENIED|Access ?Denied|PermissionError|PERMISSION_DENIED|Forbidden|FORBIDDEN|HTTP status 403",
        AccessDeniedError,
        "{path} is refused (access denied); check {credentials} and what they may do in {bucket}.",
    ),
    (
        r"NETWORK_CONNECTION|curlCode|EndpointConnection|ConnectTimeout|ReadTimeout|ConnectionClosed|"
        r"ClientConnector|UNAVAILABLE|TimeoutError|ConnectionError|DEADLINE_EXCEEDED",
        UserError,
        "{path} cannot be reached: there is no connection to the store; check the network{endpoint}, "
        "then run the same command again.",
    ),
)
"""What the libraries write -> what it means. They have no types or numbers for most of it."""


@contextmanager
def explaining(path: RemotePath) -> Iterator[None]:
    """Turn what a store says into one sentence; a missing object stays `FileNotFoundError`."""
    try:
        yield
    except FileNotFoundError as error:
        explanation = explained(error, path)
        if explanation is error:
            raise
        raise explanation from error
    except UserError:
        raise
    except Exception as error:  # botocore's and Google's errors have no common base
        explanation = explained(error, path)
        if explanation is error:
            raise
        raise explanation from error


@functools.cache
def _reader(scheme: str, bucket: str) -> FileSystem:
    """One connection pool for a bucket and process; on S3, each finds its bucket's region."""
    from pyarrow.fs import FileSystem, GcsFileSystem

    with explaining(RemotePath(scheme, bucket)):
        if scheme == "s3":
            return FileSystem.from_uri(f"s3://{bucket}")[0]
        patience = timedelta(seconds=_PATIENCE)  # it would try for a quarter of an hour
        emulator = urlsplit(os.environ.get("STORAGE_EMULATOR_HOST", ""))  # which gcsfs knows and pyarrow not
        if not emulator.netloc:
            return GcsFileSystem(retry_time_limit=patience)
        return GcsFileSystem(
            anonymous=True,
            endpoint_override=emulator.netloc,
            scheme=emulator.scheme,
            retry_time_limit=patience,
        )


def _writer(scheme: str) -> Any:
    """The fsspec file system, which fsspec itself keeps for the process."""
    try:
        import fsspec

        return fsspec.filesystem(scheme)
    except ImportError as error:
        raise UserError(
            f"Writing to {scheme}:// needs {'s3fs' if scheme == 's3' else 'gcsfs'}; "
            "pip install 'zeroiqa[cloud]'."
        ) from error
