"""The Hugging Face hub: whether it answers, one file of a repository, what its errors mean for the user."""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from zeroiqa.errors import UserError
from zeroiqa.weights.replies import Replies

OFFLINE = "--offline forbids to download it"
_PATIENCE = 10  # seconds to wait for an answer of the hub


@dataclass(frozen=True)
class HubRepository:
    """What to download, and from where."""

    repo: str
    """Repository on the hub, owner/name."""
    revision: str | None = None
    """Branch, tag or commit; None is the main branch."""
    endpoint: str | None = None
    """Address of another hub than the one that the library is set to."""
    replies: Replies | None = field(default=None, compare=False, repr=False)
    """What the hub has replied already; None: it is asked anew."""


class FileMissingError(Exception):
    """A file that is neither in the cache of this machine nor to be had."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason)
        self.reason = reason
        """Why it cannot be downloaded; None if the repository does not have it."""


def ask(repository: HubRepository) -> tuple[str | None, str | None]:
    """The commit behind a revision, and why the hub cannot be asked for it: one of the two is None.

    One short question, without the library's retries. By the repository's replies it is asked once for each
    repository and revision, and never for a commit that it has named. A hub that could not be reached is not
    asked anything more: behind a firewall that drops packets, each question takes its time.

    Raises:
        UserError: the hub answers that there is no such repository or revision.
    """
    replies = repository.replies or Replies()
    hub = ("hub", repository.endpoint)
    unreachable: str | None = replies.noted(hub)
    if unreachable is not None:
        return None, unreachable
    asked = (*hub, repository.repo)
    commit, reason = replies.once((*asked, repository.revision or "main"), lambda: _ask(repository))
    if reason is not None:
        replies.note(hub, reason)
    else:
        replies.note((*asked, commit), (commit, None))
    return commit, reason


def _ask(repository: HubRepository) -> tuple[str | None, str | None]:
    from huggingface_hub import HfApi, errors

    try:
        found = HfApi(endpoint=repository.endpoint).model_info(
            repository.repo, revision=repository.revision, timeout=_PATIENCE
        )
    except (errors.HfHubHTTPError, errors.HFValidationError) as error:
        raise UserError(explained(error, repository)) from error
    except Exception as error:  # of the HTTP client, which is another one in each version of the library
        return None, f"the hub cannot be reached ({error})"
    return found.sha, None


def download_file(repository: HubRepository, name: str, *, offline: bool = False) -> Path:
    """One file of a repository, from the hub if it answers, else from its cache on this machine.

    The file is of the commit that the hub names. A copy of that commit in the cache is taken as it is.

    Raises:
        FileMissingError: it is neither here nor to be had.
        UserError: the repository is unknown, or the download failed.
    """
    from huggingface_hub import errors

    commit, reason = (None, OFFLINE) if offline else ask(repository)
    try:
        if commit is None:
            return _download(repository, name, repository.revision, from_cache=True)
        with suppress(errors.LocalEntryNotFoundError):
            found = _download(repository, name, repository.revision, from_cache=True)
            if commit in found.parts:
                return found
        # by the revision's name, so that the cache knows it without network; if that has moved, by commit
        found = _download(repository, name, repository.revision)
        return found if commit in found.parts else _download(repository, name, commit)
    except errors.LocalEntryNotFoundError as error:
        raise FileMissingError(reason) from error
    except errors.EntryNotFoundError as error:
        raise FileMissingError(None) from error
    except Exception as error:
        raise UserError(explained(error, repository)) from error


def _download(
    repository: HubRepository, name: str, revision: str | None, *, from_cache: bool = False
) -> Path:
    from huggingface_hub import hf_hub_download

    found = hf_hub_download(
        repository.repo,
        name,
        revision=revision,
        local_files_only=from_cache,
        endpoint=repository.endpoint,
    )
    return Path(found)


def explained(error: Exception, repository: HubRepository) -> str:
    """What the user can do about an error of the hub's library."""
    from huggingface_hub import errors

    repo = repository.repo
    if isinstance(error, errors.GatedRepoError):
        return (
            f"The hub wants the terms of {repo} accepted first: do so at https://huggingface.co/{repo}, "
            "then set HF_TOKEN to a token of your account."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"The hub has no public repository {repo}; check the name, or set HF_TOKEN if it is private."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"The repository {repo} has no revision {repository.revision}; name another one."
    if isinstance(error, errors.HFValidationError):
        return f"{repo!r} is neither a folder nor a repository; write hf:OWNER/NAME or hf:FOLDER."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk is full, {repo} could not be downloaded; free some space and run the command again: "
            "it goes on where it stopped."
        )
    return f"{repo} could not be downloaded ({error}); run the command again to go on."
