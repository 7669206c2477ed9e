"""What a person or a program says of a service that is to be put under load."""

import re
from typing import Annotated

import msgspec

from tailrace.load.client.target import without_credentials
from tailrace.load.config import ADVANCED, PROFILE, SERVICE, LoadConfig
from tailrace.load.settings import SettingError, setting

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_NAME = 200


class ServiceConfig(LoadConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One service that can be put under load, and how. Durations are seconds.

    Files are those of the control room's machine.
    """

    id: Annotated[
        str,
        setting(
            "Id",
            "Letters, digits, '.', '_', '-': it stands in addresses and names of run directories.",
            group=SERVICE,
        ),
    ]
    name: Annotated[
        str | None,
        setting("Name", "What the page calls it.", group=SERVICE, unset="the id"),
    ] = None
    profile: Annotated[str, PROFILE] = "50"
    metrics_url: Annotated[
        str | None,
        setting(
            "Metrics URL",
            "Where the service tells of its CPU and GPU, in Prometheus' text format; - is nowhere.",
            group=ADVANCED,
            unset="/metrics at the URL's own host and port",
            guard="targets",
        ),
    ] = None
    """"" does not ask. None asks the first of several URLs, and nobody where load goes elsewhere
    than to the URL's host."""

    def check(self) -> None:
        """Accept its settings, apart from what has to be read for that.

        Raises:
            SettingError: one is out of its bounds, or two contradict each other.
        """
        super().check()
        if not _ID.fullmatch(self.id):
            raise SettingError(
                "must be up to 64 letters, digits, '.', '_' or '-', beginning with a letter or "
                f"digit, not {self.id!r}",
                "id",
            )
        name = self.name or ""
        if len(name) > _MAX_NAME or not name.isprintable():
            raise SettingError(
                f"must be one line of up to {_MAX_NAME} characters, not {name!r}", "name"
            )


def shown(config: ServiceConfig) -> ServiceConfig:
    """`config` as it may be told to anybody: without the credentials in its URLs."""
    return msgspec.structs.replace(
        config,
        url=without_credentials(config.url),
        metrics_url=config.metrics_url and without_credentials(config.metrics_url),
    )


def with_credentials(config: ServiceConfig, known: ServiceConfig) -> ServiceConfig:
    """`config`, with the credentials of `known` in each URL that is the same but for them: whoever
    changes a service was not told them.
    """
    told = shown(known)
    same_metrics = config.metrics_url == told.metrics_url
    return msgspec.structs.replace(
        config,
        url=known.url if config.url == told.url else config.url,
        metrics_url=known.metrics_url if same_metrics else config.metrics_url,
    )
