"""Loads our profile as tuned does, on a machine of four cores, and prints what tuned would set.

    tuned_profile.py TUNED PROFILE VARIABLES

TUNED is tuned's package unpacked, PROFILE our folder with tuned.conf, and VARIABLES a file that is
taken in place of the one below /etc. Prints JSON, unit to options with the variables put in. Fails
with tuned's words where tuned would; and where a unit has an option that its plugin does not know.
"""

import importlib
import json
import pathlib
import shutil
import sys
import tempfile
from unittest import mock

tuned, ours, variables = (pathlib.Path(path) for path in sys.argv[1:])
sys.path.insert(0, str(tuned / "usr/lib/python3/dist-packages"))
# What some plugins speak to when they act.
sys.modules["perf"] = sys.modules["procfs"] = mock.MagicMock()

from tuned.profiles.factory import Factory
from tuned.profiles.loader import Loader
from tuned.profiles.locator import Locator
from tuned.profiles.merger import Merger
from tuned.profiles.variables import Variables
from tuned.utils.commands import commands

read_file = commands.read_file


def four_cores(self, path, *arguments, **options):
    if path == "/sys/devices/system/cpu/online":
        return "0-3"
    return read_file(self, path, *arguments, **options)


def known_options(kind):
    """None for plugins that take a key or a path of any name."""
    if kind in ("sysctl", "sysfs"):
        return None
    module = importlib.import_module(f"tuned.plugins.plugin_{kind}")
    plugin = next(
        it
        for it in vars(module).values()
        if getattr(it, "__module__", "") == module.__name__ and hasattr(it, "_get_config_options")
    )
    return plugin._get_config_options()


def load(folder):
    profile = folder / "hotspur"
    shutil.copytree(ours, profile)
    text = (profile / "tuned.conf").read_text()
    installed = "/etc/tuned/hotspur-variables.conf"
    assert installed in text, f"tuned.conf does not include {installed}"
    (profile / "tuned.conf").write_text(text.replace(installed, str(variables.resolve())))
    known = Variables()
    locator = Locator([str(folder), str(tuned / "usr/lib/tuned")])
    loaded = Loader(locator, Factory(), Merger(), None, known).load(["hotspur"])
    units = {}
    for name, unit in loaded.units.items():
        options = known_options(unit.type)
        for option in unit.options:
            # The boot loader takes a cmdline of any name, to add up.
            option = "cmdline" if option.startswith("cmdline_") else option
            assert options is None or option in options, f"[{name}] has no option {option}"
        units[name] = {key: known.expand(value) for key, value in unit.options.items()}
    return units


with tempfile.TemporaryDirectory() as folder, mock.patch.object(commands, "read_file", four_cores):
    print(json.dumps(load(pathlib.Path(folder))))
