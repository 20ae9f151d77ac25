"""The loop that joins it all: one thread takes what devices, link and time bring, has the pure modules decide, and acts.

The order is the house's: decide, write the event to disk, then energise the relay; what lets it fall waits for nothing. A device that
breaks is reported and shown; an error of our own ends the process, which leaves the relay off, and the service starts it again.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import replace

from edge import lane, passage, presentation, records, restarts
from edge.allowance import Allowance
from edge.config import Config
from edge.devices import Devices
from edge.door import Answered, Asked
from edge.feeds import Calibrated, DeviceBack, DeviceLost, FeedBroken, Obstructed, Sample
from edge.judge import Judge
from edge.lately import Lately
from edge.link import LinkDown, LinkUp
from edge.linkwords import (
    ClockAnswered,
    ClockWasReset,
    CommandRefused,
    EventsDone,
    ListChanged,
    Ordered,
    Requested,
    RootsChanged,
    TrustChanged,
)
from edge.outbox import OutboxFault
from edge.parts import Keeps, Posted
from edge.presentation import Key, Presentation, Subject
from edge.recorder import Recorder
from edge.records import Moment
from edge.scan import Crowd, Glimpse, Sighting
from edge.scan_child import ReaderLost
from edge.screening import Reading, Screened, SensorFault, SensorState, screen
from edge.signals import SIGNAL_OF_REASON, Signal
from edge.timekeeping import AnswerOutcome
from edge.transitions import OPENING
from edge.unusual import Concluded
from edge.verdict import Crowd as SeveralPeople
from edge.verdict import Verdict
from healthcode.messages import AnyEvent, Response
from healthcode.terms import ClockState, CommandName, Decision, LaneMode, Reason, Screening

log = logging.getLogger(__name__)

READINGS_KEPT = 600
RECALLED = 2000
"""How many events are looked through at the start for fevers that were suspected: half an hour of a busy gate."""
CONCLUDED_KEPT = 1000
"""Verdicts that wait to be counted: whoever reports the unit's numbers takes them away every second."""
BEFORE_FIRST_SAMPLE = SensorState(float("inf"), 0.0)
"""Nothing is known of the sensor yet: without samples nobody is cleared, and each sample brings the true state."""


class Unit:
    """One gate. `handle` and `tick` belong to one thread; the counters may be read by others.

    `concluded` are the final verdicts that nobody has counted yet, `lately` alarms of the lane that are still worth an alert.
    """

    def __init__(self, config: Config, keeps: Keeps) -> None:
        self.counts: Counter[Decision] = Counter()
        self.concluded: deque[Concluded] = deque(maxlen=CONCLUDED_KEPT)
        self.lately = Lately()
        self.devices = Devices()
        self.asked: deque[Requested | Ordered | CommandRefused] = deque()
        """What was asked of the unit from afar, for `edge.orders`."""
        self._config = config
        self._keeps = keeps
        self._judge = Judge(config, keeps)
        self._state = passage.initial(keeps.monotonic(), keeps.modes.kept)
        self._shown: Presentation | None = None
        self._suspects: dict[Key, Screened] = {}
        self._readings: deque[Reading | SensorFault] = deque(maxlen=READINGS_KEPT)
        self._sensor = BEFORE_FIRST_SAMPLE
        self._approach: presentation.Approach | None = None
        self._hint: tuple[Screening | None, int] = (None, 0)
        self._recorder = Recorder(keeps.outbox, keeps.wake)
        self._allowance = Allowance()
        self._answered = AnswerOutcome.TAKEN

    @property
    def state(self) -> passage.State:
        """The lane's state."""
        return self._state

    @property
    def ambient_c(self) -> float | None:
        """What the thermometer says of its own temperature; None where its last word is a fault, or it has said none."""
        last = self._readings[-1] if self._readings else None
        return last.ambient_c if isinstance(last, Reading) else None

    @property
    def unsaved(self) -> int:
        """How many events wait in memory because the disk did not take them."""
        return self._recorder.unsaved

    @property
    def troubles(self) -> dict[str, str]:
        """What is wrong with the unit now: the alert's name, and one line that says what."""
        found = self.devices.troubles
        if self._keeps.modes.trouble:
            found["lane_mode"] = self._keeps.modes.trouble
        return found

    @property
    def working(self) -> dict[str, bool]:
        """What is known of each device: whether it works."""
        return {device.value: works for device, works in self.devices.works.items()}

    def may_end(self, waited_s: float) -> bool:
        """Whether nobody loses by a new start now, for which it was waited for `waited_s` (`edge.restarts`)."""
        return restarts.may_end(self._state, waited_s, is_shown=self._shown is not None)

    def start(self, detail: str) -> None:
        """Says in the log that the unit has started, and shows its rest."""
        at = self._keeps.monotonic()
        self._recall(at)
        news: list[AnyEvent] = [records.unit_event("started", detail, self._moment(at))]
        if self._keeps.modes.trouble:
            news.append(records.unit_event("mode_lost", self._keeps.modes.trouble, self._moment(at)))
        if self._state.mode is not LaneMode.CONTROLLED:
            kept = lane.LaneChanged(at, self._state.mode, self._state.fire, self._state.tamper, note="kept over the restart")
            news.append(records.lane_event(kept, self._moment(at)))
        self._recorder.record(news)
        self._step(lane.Tick(at))

    def _recall(self, at: float) -> None:
        """Whom the process before suspected of a fever is still suspected. A disk that does not say who: then nobody is admitted either."""
        try:
            events = self._keeps.outbox.newest(RECALLED)
        except OutboxFault as wrong:
            log.warning("who was suspected of a fever is not known: %s", wrong)
            return
        self._suspects = presentation.recall(records.measurements(events, self._keeps.clock.now(at), at))

    def stop(self) -> None:
        """Says in the log that the unit ends in order; the gate is let go by whoever holds it."""
        self._recorder.record([records.unit_event("stopping", "", self._moment(self._keeps.monotonic()))])

    def note(self, what: str, detail: str) -> None:
        """Something about the unit itself, for the log of events: a stable word, and one line."""
        self._recorder.record([records.unit_event(what, detail, self._moment(self._keeps.monotonic()))])

    @property
    def is_idle(self) -> bool:
        """Whether nobody stands before the gate or passes."""
        return self._shown is None and not passage.busy(self._state)

    def handle(self, item: Posted) -> None:
        """Takes in what a device or the link posted."""
        match item:
            case Sighting():
                self._on_sighting(item)
            case Crowd():
                self._on_crowd(item)
            case Glimpse():
                self._on_glimpse(item)
            case ReaderLost():
                self._recorder.record([records.unit_event("reader_restarted", item.cause, self._moment(item.at))])
            case Sample():
                self._readings.append(item.found)
                self._sensor = item.sensor
                self._measure(self._keeps.monotonic())
            case DeviceLost() | DeviceBack() | Obstructed() | Calibrated():
                self._on_device(item)
            case FeedBroken(error=error):
                raise error
            case Requested(command=CommandName.IDENTIFY):
                self._on_identify(item)
            case Requested() | Ordered() | CommandRefused():
                self.asked.append(item)
            case ListChanged(uri=uri, version=version):
                log.info("list %s is at version %s", uri, version)
            case TrustChanged(version=version):
                log.info("trust list %d is in force", version)
            case RootsChanged(detail=detail):
                log.warning("roots: %s", detail)
                self._recorder.record([records.unit_event("roots_changed", detail, self._moment(item.at))])
            case ClockWasReset(detail=detail):
                self._recorder.record([records.unit_event("clock_reset", detail, self._moment(item.at))])
            case ClockAnswered():
                self._on_time(item)
            case LinkUp() | LinkDown() | EventsDone():
                pass
            case _:
                self._step(item)

    def tick(self) -> None:
        """Lets time go by: deadlines of the passage, patience with a measurement, light and sound."""
        at = self._keeps.monotonic()
        due = passage.deadline(self._state, self._config.lane)
        if due is not None and due <= at:
            self._step(lane.Tick(at))
        self._measure(at)
        if self._shown is not None and (presentation.is_over(self._shown, at) or presentation.is_abandoned(self._shown, at)):
            self._shown = None
        self._recorder.tick(at)
        if self._state.mode is LaneMode.FREE and self._keeps.clock.state() is ClockState.UNTRUSTED:
            self._step(lane.SetMode(at, LaneMode.CONTROLLED, note="the clock is not trusted"))
        self._keeps.modes.keep(self._state.mode, at)

    def ask_mode(self, asked: Asked) -> Answered:
        """Somebody at the unit sets the lane's mode. Free is refused while the clock is not trusted: nobody would know its end."""
        at, refused = self._keeps.monotonic(), ""
        if asked.mode is LaneMode.FREE and self._keeps.clock.state() is ClockState.UNTRUSTED:
            refused = "the unit does not know the time for certain, and the mode free needs an end"
        elif asked.mode is LaneMode.FREE and not asked.for_s:
            refused = "expected for how long the lane is to be free"
        else:
            log.info("the lane is set to %s: %s", asked.mode.value, asked.note)
            self._step(lane.SetMode(at, asked.mode, at + asked.for_s, asked.note))
            self._keeps.modes.keep(self._state.mode, at, anew=True)
        return Answered(asked.at, self._state.mode, refused)

    def release(self, note: str) -> bool:
        """An operator opens once; whether that opened anything. `note` says who, and why."""
        step = self._step(lane.CommandRelease(self._keeps.monotonic(), note))
        return any(isinstance(event, lane.Released) for event in step.events)

    def identify(self, at: float) -> None:
        """Shows and sounds the signal by which this unit is found, unless somebody is being let through."""
        self._step(lane.Notice(at, Signal.IDENTIFY))

    @property
    def sensor(self) -> SensorState:
        """The thermometer's state at its last reading."""
        return self._sensor

    def newest_readings(self, count: int) -> list[Reading | SensorFault]:
        """The last `count` cycles of the thermometer, the oldest first."""
        return list(self._readings)[-count:]

    def forget_readings(self) -> None:
        """What was read so far was corrected otherwise than what comes: measurements begin anew."""
        self._readings.clear()

    def _on_sighting(self, seen: Sighting) -> None:
        shown = self._shown
        if shown is not None and shown.text == seen.text:
            self._shown = presentation.sighted(shown, seen.at)
            return
        subject = self._judge.read(seen.text, seen.at)
        if shown is not None and shown.key == presentation.key_of(subject, seen.text):
            self._shown = replace(presentation.sighted(shown, seen.at), text=seen.text, subject=subject)
            return
        if not passage.busy(self._state):
            self._begin(subject, seen.text, seen.reader, seen.at)

    def _on_crowd(self, seen: Crowd) -> None:
        text = "\n".join(sorted(seen.texts))
        if self._shown is not None and self._shown.text == text:
            self._shown = presentation.sighted(self._shown, seen.at)
        elif not passage.busy(self._state):
            self._begin(SeveralPeople(), text, "", seen.at)

    def _on_glimpse(self, seen: Glimpse) -> None:
        shown = self._shown
        if shown is not None:
            if shown.verdict is not None:
                self._shown = presentation.sighted(shown, seen.at)
            return
        self._approach = presentation.glimpsed(self._approach, seen.at)
        if self._approach.frames == self._config.camera.steady_after and not passage.busy(self._state):
            self._step(lane.Notice(seen.at, Signal.MEASURING))

    def _begin(self, subject: Subject, text: str, reader: str, at: float) -> None:
        self._shown = presentation.begin(subject, text, reader, at, self._suspects, self._config.screening.retest_after_s)
        unread = presentation.glimpses(self._approach, at)
        self._shown = replace(self._shown, frames=1 + unread, glimpses=unread)
        self._approach = None
        self._hint = (None, 0)
        verdict = self._decide(self._shown, Screening.PENDING, at)
        if verdict.final:
            self._conclude(self._shown, verdict, None, at)
        else:
            self._step(lane.Notice(at, Signal.FEVER if self._shown.earlier else Signal.MEASURING))

    def _measure(self, at: float) -> None:
        """Goes on with the measurement of whoever is in front of the gate, if there is one."""
        shown = self._shown
        if shown is None or shown.verdict is not None:
            return
        found = screen(tuple(self._readings), self._config.screening, self._sensor, shown.earlier, at, shown.first_at)
        if found.screening is Screening.PENDING:
            self._show_hint(found, at)
            return
        if found.measure_again:
            self._measure_again(shown, found, at)
            return
        self._suspects = presentation.remember(self._suspects, shown, found)
        self._conclude(shown, self._decide(shown, found.screening, at), found, at)

    def _measure_again(self, shown: Presentation, found: Screened, at: float) -> None:
        self._suspects = presentation.remember(self._suspects, shown, found)
        self._shown = presentation.measured(shown, found)
        if found.screening is Screening.FEVER_SUSPECTED:
            verdict = self._decide(shown, found.screening, at)
            if verdict.final:
                self._conclude(self._shown, verdict, None, at)
                return
            self._recorder.record([self._pass_event(shown, verdict, found, at)])
            self._step(lane.Notice(at, Signal.FEVER))

    def _show_hint(self, found: Screened, at: float) -> None:
        """Shows what to do, once for each hint and try; and what goes on, where that was last shown for its time and is not over."""
        hint, is_over = (found.hint, found.tries), at >= self._state.notice_until
        if hint == self._hint and not is_over:
            return
        self._hint = hint
        if found.hint is Screening.FEVER_SUSPECTED:
            signal = Signal.FEVER if is_over else None
        elif found.hint is not None and found.hint.value in Reason.__members__:
            signal = SIGNAL_OF_REASON[Reason(found.hint.value)]
        else:
            signal = Signal.MEASURING if is_over else None
        if signal is not None and self._state.stage not in OPENING:
            self._step(lane.Notice(at, signal))

    def _conclude(self, shown: Presentation, verdict: Verdict, found: Screened | None, at: float) -> None:
        """A final verdict: the event on disk, then the lane. A disk that fails turns an admission into a call for the guard."""
        if verdict.reason is Reason.LANE_BUSY:
            self._shown = None
            self._step(lane.Notice(at, SIGNAL_OF_REASON[verdict.reason]))
            return
        seq = None
        if self._may_record(shown, at):
            try:
                seq = self._recorder.append([self._pass_event(shown, verdict, found, at)])[-1]
            except OutboxFault as wrong:
                if verdict.decision is Decision.ADMIT:
                    verdict = Verdict(Decision.CALL_GUARD, Reason.OUTBOX_FAULT)
                self._recorder.put_by(wrong, [self._pass_event(shown, verdict, found, at)])
        self._shown = replace(shown, verdict=verdict)
        self.counts[verdict.decision] += 1
        self.concluded.append(Concluded(at, verdict.decision, verdict.reason, found is not None))
        log.info("%s %s", verdict.decision.value, verdict.reason.value)
        self._step(lane.Decided(max(at, self._keeps.monotonic()), verdict.decision, verdict.reason, shown.person, seq))

    def _may_record(self, shown: Presentation, at: float) -> bool:
        """Whether the verdict on `shown` becomes an event: always for a person, within an allowance for what names nobody."""
        if shown.person is not None:
            return True
        self._allowance, may = self._allowance.take(at)
        if may and self._allowance.missed:
            missed = records.unit_event("refusals_not_recorded", f"{self._allowance.missed} of codes that name nobody", self._moment(at))
            self._allowance = self._allowance.reported()
            self._recorder.record([missed])
        return may

    def _decide(self, shown: Presentation, screening: Screening, at: float) -> Verdict:
        return self._judge.decide(shown, screening, self._state, at, outbox_ok=not self._recorder.unsaved)

    def _on_identify(self, asked: Requested) -> None:
        """Somebody looks for this unit."""
        self.identify(asked.at)
        data: dict[str, str | int | float | bool | None] = {"stage": self._state.stage.value, "mode": self._state.mode.value}
        self._keeps.respond(asked.command, Response(status="ok", transaction=asked.transaction, data=data))

    def _on_time(self, item: ClockAnswered) -> None:
        """The first of several answers that raise the same doubt is an event."""
        outcome, self._answered = self._answered, item.outcome
        if item.doubt and item.outcome is not outcome:
            self._recorder.record([records.unit_event("clock_doubted", item.doubt, self._moment(item.at))])

    def _on_device(self, item: DeviceLost | DeviceBack | Obstructed | Calibrated) -> None:
        noted = self.devices.take(item)
        if noted is not None:
            self._recorder.record([records.unit_event(noted.what, noted.detail, self._moment(item.at))])
            self._step(lane.Trouble(item.at, not self.devices.all_work))

    def _step(self, given: lane.Input) -> passage.Step:
        """One step of the lane. Before the relay is switched on its event is on disk; whatever else is to be done is done at once.

        A slow disk may hold up a grant or a release; it must not eat into its pulse and window, so these begin when the relay does.
        """
        step = passage.step(self._state, given, self._config.lane)
        if lane.Relay in map(type, step.effects) and passage.relay_of(step.state):
            self._record_step(step)
            began = max(step.state.at, self._keeps.monotonic())
            self._state = passage.postponed(step.state, began - step.state.at)
            self._keeps.gate.apply(step.effects, began)
            return step
        self._state = step.state
        if step.effects:
            self._keeps.gate.apply(step.effects, step.state.at)
        self._record_step(step)
        return step

    def _record_step(self, step: passage.Step) -> None:
        """Writes a step's events; what the disk does not take waits in memory."""
        for event in step.events:
            self.lately = self.lately.noted(event, self._config.lane.alert_s)
        events = [records.lane_event(event, self._moment(event.at)) for event in step.events]
        used = {event.person: self._keeps.clock.now(event.at) for event in step.events if isinstance(event, lane.Used) and event.person}
        if events:
            self._recorder.record(events, used)

    def _moment(self, at: float) -> Moment:
        clock = self._keeps.clock
        return Moment(clock.now(at), clock.state())

    def _pass_event(self, shown: Presentation, verdict: Verdict, found: Screened | None, at: float) -> AnyEvent:
        return records.pass_event(shown, verdict, found, self._keeps.knowledge.lists, self._moment(at), at)
