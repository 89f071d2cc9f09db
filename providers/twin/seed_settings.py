"""Seeds of a host's settings: firewall rule sets, power policy, kernel modules, the clock's protocol."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from providers.twin import baseline
from providers.twin.facts.firewall import is_source, rulesets
from providers.twin.facts.modules import MODULES
from providers.twin.model import HostConfig
from providers.twin.seed_file import SeedError, Where
from providers.twin.seed_format import ConfigSeed
from providers.twin.views.settings import POLICIES


def host_settings(config: HostConfig, seed: ConfigSeed, where: Where) -> None:
    """Raises SeedError."""
    for key, ruleset in seed.firewall.items():
        at = (*where, "firewall", key)
        _known(key, rulesets(), at)
        if ruleset.enabled is not None:
            baseline.set_ruleset(config, key, ruleset.enabled)
        if ruleset.allowed != ["all"]:
            wrong = [each for each in ruleset.allowed if not is_source(each)]
            if wrong:
                raise SeedError((*at, "allowed"), f"{wrong[0]!r} is neither an address nor a network")
            config.settings.allowed[key] = sorted(ruleset.allowed)
    if seed.power_policy:
        keys = {name: key for key, name in POLICIES.items()}
        _known(seed.power_policy, keys, (*where, "power_policy"))
        config.settings.power_policy = keys[seed.power_policy]
    for name, options in seed.module.items():
        _known(name, dict.fromkeys(MODULES), (*where, "module", name))
        config.settings.modules[name] = options
    if seed.clock:
        _known(seed.clock, {"ntp": 0, "ptp": 0}, (*where, "clock"))
        config.settings.clock = seed.clock


def _known(key: str, table: Mapping[str, Any], where: Where) -> None:
    if key not in table:
        near = get_close_matches(key, table, 1)
        raise SeedError(where, f"the twin's hosts have no {key!r}", f"did you mean {near[0]!r}?" if near else "")
