"""The updater: a process beside the gate, started from the last release that has proved itself. A thin shell around `edge.updates`.

It fetches, installs and tests while the gate goes on, lets `current` point at the new release, and watches from outside how that does.
Nothing of the release on trial is needed to come back from it: this process is of the release before.
"""

from __future__ import annotations

import ctypes
import errno
import json
import logging
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from edge import apart, releasedoor, updates
from edge import config as configuration
from edge.cache import held_keys
from edge.config import Config, ConfigError
from edge.fetching import Server
from edge.formats import find_lost
from edge.releasedoor import UpdaterSays
from edge.releasefolder import ReleaseFolder, ReleaseFolderError
from edge.rootfiles import load_roots
from edge.updates import Failed, Fate, Fetch, Install, Job, Learn, Look, Phase, State, Test
from edge.venvs import InstallError, make, own_platform, unpack
from healthcode import signed
from healthcode.cose import PublicKey
from healthcode.messages import Release
from healthcode.signed import SignedFault

log = logging.getLogger("edge.updater")

TURN_S = 1.0
TEST_S = 180.0
"""How long the new release may take to look at the configuration, on a slow card."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PR_SET_DUMPABLE = 4


class Jobs(Protocol):
    """The long work, each as its name in `edge.updates` says."""

    def do(self, job: Job) -> Release | Failed | None:
        """The outcome."""


class RealJobs:
    """Fetches from the server, installs by pip, tests in a process."""

    def __init__(self, config_file: Path, config: Config, roots: tuple[PublicKey, ...], folder: ReleaseFolder, server: Server) -> None:
        self._config_file, self._config, self._roots, self._folder, self._server = config_file, config, roots, folder, server

    def do(self, job: Job) -> Release | Failed | None:
        """The outcome of `job`; a disk that is full or broken is one, and not an exception."""
        try:
            match job:
                case Learn(version=version):
                    return self._learn(version)
                case Fetch(release=release):
                    self._folder.clear_incoming(self._bundle(release))
                    return self._server.fetch(release, self._bundle(release))
                case Install(release=release):
                    return self._install(release)
                case Test(release=release):
                    return self._test(release)
        except OSError as wrong:
            return Failed(Fate.AGAIN, f"{wrong.filename or self._folder.folder}: {_why(wrong)}")

    def _learn(self, version: str) -> Release | Failed:
        raw = self._server.learn(version)
        if isinstance(raw, Failed):
            return raw
        keys = held_keys(Path(self._config.data) / "cache", self._roots)
        if keys is None:
            return Failed(Fate.AGAIN, f"release {version}: no trust list is held, by which to check it")
        found = signed.read(raw, Release, keys, time.time())
        if isinstance(found, SignedFault):
            return Failed(Fate.HALT, f"release {version}: {found.value}: expected a release signed by a key that the trust list has for it")
        return found.message

    def _bundle(self, release: Release) -> Path:
        """Named by its hash: another bundle of the same version does not go on where this one was cut off."""
        return self._folder.incoming / f"{release.sha256.hex()[:16]}.zip"

    def _install(self, release: Release) -> Failed | None:
        if self._folder.is_whole(release.version, release.sha256):
            return None
        unpacked = self._folder.incoming / "unpacked"
        if unpacked.exists():
            shutil.rmtree(unpacked)
        try:
            unpack(self._bundle(release), unpacked, platform.machine())
            make(unpacked, self._folder.begin(release.version))
        except InstallError as wrong:
            is_full = "No space left" in str(wrong)
            return Failed(Fate.AGAIN if is_full else Fate.REFUSED, f"release {release.version}: {wrong}")
        self._folder.finish(release.version, release.sha256)
        self._folder.clear_incoming(None)
        return None

    def _test(self, release: Release) -> Failed | None:
        python = self._folder.path(release.version) / "bin" / "python"
        command = [str(python), "-P", "-m", "healthgate", "edge", "ready", "--config", str(self._config_file)]
        name = f"release {release.version}"
        try:
            done = subprocess.run(  # noqa: S603  a release that is signed
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=TEST_S, cwd="/", env=_environment()
            )
        except subprocess.TimeoutExpired:
            return Failed(Fate.REFUSED, f"{name}: its test did not end within {TEST_S:.0f} s")
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"status {done.returncode}"]
            return Failed(Fate.REFUSED, f"{name}: its test: {lines[-1].strip()[:150]}")
        try:
            said = json.loads(done.stdout.splitlines()[-1])
            version, writes = str(said["version"]), {str(key): int(value) for key, value in said["writes"].items()}
        except (ValueError, KeyError, IndexError, AttributeError, TypeError):
            return Failed(Fate.REFUSED, f"{name}: its test says {done.stdout[:60]!r}, expected its version and formats")
        if version != release.version:
            return Failed(Fate.REFUSED, f"{name}: it is {version} by its own word")
        lost = find_lost(writes)
        return Failed(Fate.REFUSED, f"{name}: {lost}") if lost else None


class Updater:
    """Goes on from where the one before ended. `turn` is to be called again and again until it says that the process is to end."""

    def __init__(
        self, folder: ReleaseFolder, data: Path, run: Path, jobs: Jobs, *, monotonic: Callable[[], float] = time.monotonic, boot: str = ""
    ) -> None:
        """ReleaseFolderError where there is no release to go on from; OSError where the disk does not let it begin."""
        self._folder, self._data, self._run, self._jobs, self._monotonic, self._boot = folder, data, run, jobs, monotonic, boot
        good = folder.version_at("good")
        try:
            current = folder.version_at("current")
        except ReleaseFolderError as wrong:
            log.warning("%s", wrong)
            current = ""  # to be pointed at what is good, or on trial
        self._said: UpdaterSays | None = None
        self._state, effects = updates.recover(current, good, own_platform(), folder.read())
        self._write(effects)
        kept = self._state.kept
        self._is_untidy = False
        self._say()  # to clear away may take a slow card a minute
        # a bundle that is wanted still stays: its fetch goes on where it was cut off
        self._tidy(incoming=kept.wanted in (None, good) or kept.wanted in kept.refused)

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    def turn(self) -> bool:
        """One look, and what follows from it, the long work too; whether the process is to end. OSError where the disk fails."""
        before, seen = self._state, self._look()
        self._state, effects = updates.look(before, seen)
        is_over = self._do(self._write(effects))
        self._say()
        self._is_untidy |= self._state.kept.refused != before.kept.refused
        if self._is_untidy and self._state.phase is Phase.RESTING and seen.seen is not None and seen.seen.version == self._state.good:
            self._tidy(incoming=True)  # nothing runs any more from the release that was refused
            self._is_untidy = False
        return is_over

    def _tidy(self, *, incoming: bool) -> None:
        """Removes the releases that nothing points at: the one that is good, the one on trial and the one before stay."""
        kept = self._state.kept
        whole = {self._state.good, self._state.current, kept.before, kept.trial.version if kept.trial else None}
        self._folder.tidy({each for each in whole if each}, incoming=incoming)

    def _look(self) -> Look:
        run = self._run
        wish, seen = releasedoor.read_wish(self._data), releasedoor.read_seen(run)
        starts, is_configuring = releasedoor.count_starts(run), apart.is_configuration_on_trial(self._data)
        return Look(self._monotonic(), wish, seen, self._boot, starts, is_configuring)

    def _write(self, effects: tuple[updates.Effect, ...]) -> tuple[Job | updates.End, ...]:
        """Brings to the disk what is for it; the rest, which comes after that."""
        left: list[Job | updates.End] = []
        for effect in effects:
            match effect:
                case updates.Keep(kept=kept):
                    self._folder.keep(kept)
                case updates.Point(name=name, version=version):
                    log.warning("%s is release %s from now on", name, version)
                    self._folder.point(name, version)
                case _:
                    left.append(effect)
        return tuple(left)

    def _do(self, effects: tuple[Job | updates.End, ...]) -> bool:
        """One job after another; whether the process is to end."""
        for effect in effects:
            if isinstance(effect, updates.End):
                return True
            self._say()
            outcome = self._jobs.do(effect)
            if isinstance(outcome, Failed):
                log.warning("%s", outcome.why)
            with apart.alone(self._data) as is_alone:  # from the look to what is written: the gate, too, may begin a trial
                seen = self._look()
                seen = seen if is_alone else replace(seen, is_configuring=True)
                self._state, more = updates.done(self._state, effect, outcome, seen)
                left = self._write(more)
            if self._do(left):
                return True
        return False

    def _say(self) -> None:
        """Says in the run folder what it is about, where that has changed."""
        state = self._state
        kept = state.kept
        is_final = state.halted or kept.wanted in kept.refused
        said = UpdaterSays(state.phase, state.good, state.current or state.good, kept.wanted, kept.wish, state.trouble[:200], is_final)
        if said == self._said:
            return
        log.info("%s%s", said.phase.value, f": {said.trouble}" if said.trouble else f": {said.wanted}" if said.wanted else "")
        try:
            releasedoor.say(self._run, said)
            self._said = said
        except OSError as wrong:
            log.warning("%s: cannot be written: %s", self._run, wrong.strerror)


def main(config_file: Path) -> int:
    """The process, until SIGTERM or until another release has proved itself. Its exit status."""
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # The gate has the same account: without this it could come in through /proc, where this process may write and it may not.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0)
    os.nice(19)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        config = configuration.load(config_file)
        if not (config.updates.folder and config.updates.server):
            raise ConfigError(f"{config_file}: updates.folder and updates.server: expected both, for a unit that is updated from afar")
        roots = load_roots(config)
        folder = ReleaseFolder(Path(config.updates.folder))
        jobs = RealJobs(config_file, config, roots, folder, Server(config.updates.server, config.updates.ca))
        boot = BOOT_ID.read_text(encoding="ascii").strip() if BOOT_ID.exists() else ""
        updater = Updater(folder, Path(config.data), Path(config.updates.run), jobs, boot=boot)
        while not stop.is_set():
            if updater.turn():
                return 0
            stop.wait(TURN_S)
    except (ConfigError, ReleaseFolderError) as wrong:
        for line in str(wrong).splitlines():
            log.error("%s", line)
        return 2
    except OSError as wrong:
        log.error("%s: %s: the service is to start the updater again", wrong.filename, _why(wrong))
        return 1
    return 0


def _why(wrong: OSError) -> str:
    return "the disk is full" if wrong.errno in (errno.ENOSPC, errno.EDQUOT) else wrong.strerror or type(wrong).__name__


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m edge.updater CONFIG\n")
        sys.exit(2)
    sys.exit(main(Path(sys.argv[1])))
