"""Who runs a command, from where, and for which CI job: the head of plans, journals and locks."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime

_JOB_URLS = ("CI_JOB_URL", "BUILD_URL", "BUILDKITE_BUILD_URL", "CIRCLE_BUILD_URL", "TRAVIS_BUILD_WEB_URL",
             "DRONE_BUILD_LINK", "BITRISE_BUILD_URL", "APPVEYOR_URL")
"""GitLab, Jenkins, Buildkite, CircleCI, Travis, Drone and Woodpecker, Bitrise, AppVeyor."""


def user() -> str:
    """The login name; `uid N` where the account has none (containers)."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def host() -> str:
    return socket.gethostname()


def ci_job(environment: Mapping[str, str] | None = None) -> str:
    """The URL of the CI job that runs us; "" outside of CI."""
    env = os.environ if environment is None else environment
    if env.get("GITHUB_ACTIONS") and env.get("GITHUB_RUN_ID"):  # GitHub, Gitea, Forgejo
        return f"{env.get('GITHUB_SERVER_URL', '')}/{env.get('GITHUB_REPOSITORY', '')}/actions/runs/" \
               f"{env['GITHUB_RUN_ID']}"
    if env.get("SYSTEM_COLLECTIONURI") and env.get("BUILD_BUILDID"):  # Azure DevOps
        return f"{env['SYSTEM_COLLECTIONURI']}{env.get('SYSTEM_TEAMPROJECT', '')}/_build/results?buildId=" \
               f"{env['BUILD_BUILDID']}"
    return next((env[name] for name in _JOB_URLS if env.get(name)), "")


def timestamp() -> str:
    """Now, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def run_id() -> str:
    """A new run's name: sorts by time, unique beyond it."""
    import secrets

    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
