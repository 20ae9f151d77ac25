"""The schematic of a gate unit: eight panels on one sheet, joined by the names of their nets, pins taken from the configuration."""

from __future__ import annotations

from schemdraw import elements as elm

from edge.config import Pins
from hw.header import HEADER_PIN
from hw.sheet import NORMAL, SMALL, XY, Panel, fuse, new_sheet, on_white, resistor


def draw_schematic(pins: Pins) -> str:
    """The whole sheet as an SVG."""
    sheet = new_sheet()
    supplies(Panel(sheet, (0, 27.6), (17.5, 9.2), "1 Supplies and their fuses"))
    lock(Panel(sheet, (18, 27.6), (17.5, 9.2), "2 Lock, way out and fire: no software in it"))
    relay(Panel(sheet, (0, 18.4), (17.5, 8.7), "3 Barrier relay"), pins)
    isolated(Panel(sheet, (18, 18.4), (17.5, 8.7), "4 Isolated inputs: beam, arm, fire (three alike)"), pins)
    contacts(Panel(sheet, (0, 9.2), (17.5, 8.7), "5 Contacts to ground: staff, exit, tamper (three alike)"), pins)
    buzzer(Panel(sheet, (18, 9.2), (17.5, 8.7), "6 Buzzer"), pins)
    light(Panel(sheet, (0, 0), (17.5, 8.7), "7 Light: red, green, blue (three alike)"), pins)
    bus(Panel(sheet, (18, 0), (17.5, 8.7), "8 Thermometer and clock"))
    return on_white(sheet.get_imagedata("svg").decode())


def supplies(panel: Panel) -> None:
    """Two supplies that share no conductor: the unit's and the turnstile's."""
    panel.box((0.6, 4.4), (3.6, 2.2), "Supply U", "12 V, 5 A, SELV")
    panel.wire((4.2, 6.1), (5.2, 6.1))
    panel.dot((5.2, 6.1))
    panel.part(fuse("F1 T 3.15 A"), (5.2, 6.1), (7.6, 6.1))
    panel.box((7.6, 5.3), (3.4, 1.5), "DC/DC", "12 V to 5.1 V")
    panel.wire((11.0, 6.1), (11.9, 6.1))
    panel.dot((11.9, 6.1))
    panel.supply((11.9, 6.1), "+5 V")
    panel.wire((11.9, 6.1), (13.0, 6.1))
    panel.box((13.0, 5.3), (3.8, 1.5), "Raspberry Pi", "USB-C; 3V3 from its pins")
    panel.wire((5.2, 6.1), (5.2, 7.5))
    panel.part(fuse("F2 T 1 A"), (5.2, 7.5), (7.8, 7.5))
    panel.wire((7.8, 7.5), (8.6, 7.5))
    panel.supply((8.6, 7.5), "+12 V")
    panel.wire((4.2, 4.8), (14.9, 4.8), (14.9, 5.3))
    panel.wire((9.3, 5.3), (9.3, 4.8))
    panel.dot((9.3, 4.8), (5.2, 4.8))
    panel.ground((5.2, 4.8))
    panel.text((5.75, 4.15), "GND", SMALL)
    panel.text((9.6, 4.2), "to the boards: 3V3 from pin 17; GND from pins 14, 20, 34", SMALL)
    panel.wire((0.6, 3.85), (16.9, 3.85))
    panel.text((0.6, 3.35), "No conductor crosses this line: only K1's contact, the optocouplers and insulation do.", SMALL)
    panel.box((0.6, 0.7), (3.6, 2.2), "Supply T", "the turnstile's own,", "24 V (or 12 V), SELV")
    panel.wire((4.2, 2.3), (5.2, 2.3))
    panel.part(fuse("F3 T 2 A"), (5.2, 2.3), (7.6, 2.3))
    panel.terminal((7.6, 2.3), "+24 V L: lock, panel 2")
    panel.dot((5.2, 2.3))
    panel.wire((5.2, 2.3), (5.2, 1.25))
    panel.part(fuse(""), (5.2, 1.25), (7.6, 1.25))
    panel.text((6.4, 0.5), "F4 T 250 mA", NORMAL, "center")
    panel.terminal((7.6, 1.25), "+24 V M: contacts, panel 4")
    panel.wire((4.2, 0.95), (4.6, 0.95), (4.6, 0.75))
    panel.zero((4.6, 0.75))


def lock(panel: Panel) -> None:
    """The magnet that locks, and what frees it."""
    y = 6.3
    panel.terminal((1.0, y), "")
    panel.text((0.5, y + 0.3), "+24 V L", NORMAL)
    panel.wire((1.0, y), (2.2, y))
    panel.part(elm.Switch(nc=True), (2.2, y), (4.2, y))
    panel.text((3.2, y + 0.45), "FA1", NORMAL, "center")
    panel.wire((4.2, y), (6.6, y))
    panel.part(elm.Button(nc=True), (6.6, y), (8.6, y))
    panel.text((7.6, y + 0.65), "S2a", NORMAL, "center")
    panel.wire((8.6, y), (11.0, y), (11.0, 5.6))
    panel.dot((11.0, 5.6))
    panel.wire((11.0, 5.6), (11.0, 5.2))
    panel.part(resistor(), (11.0, 5.2), (11.0, 3.2))
    panel.text((11.55, 4.35), "Y1 lock magnet,", NORMAL)
    panel.text((11.55, 3.9), "free without current", NORMAL)
    panel.wire((11.0, 3.2), (11.0, 2.8))
    panel.part(elm.Diode(), (9.4, 2.8), (9.4, 5.6))
    panel.text((8.95, 4.1), "D2", NORMAL, "right")
    panel.text((8.95, 3.65), "1N4007", NORMAL, "right")
    panel.wire((9.4, 5.6), (11.0, 5.6))
    panel.wire((9.4, 2.8), (11.0, 2.8))
    panel.dot((11.0, 2.8))
    panel.zero((11.0, 2.8))
    panel.text((0.6, 5.0), "FA1, FA2: two contacts of the building's fire", NORMAL)
    panel.text((0.6, 4.55), "relay, both closed while there is no fire.", NORMAL)
    panel.text((0.6, 3.9), "S2: the way out's button, two", NORMAL)
    panel.text((0.6, 3.45), "contacts: S2a closed at rest,", NORMAL)
    panel.text((0.6, 3.0), "S2b open at rest (panel 5).", NORMAL)
    panel.text(
        (0.6, 1.45), "Fire, the button or a power cut: the magnet lets go, whatever the Pi does. FA2 only tells the Pi (panel 4).", SMALL
    )
    panel.text((0.6, 0.95), "A turnstile with an emergency input of its own: FA1 goes there, as its maker draws it.", SMALL)


def relay(panel: Panel, pins: Pins) -> None:
    """From the pin to the turnstile's input."""
    y = 3.2
    panel.pin((3.5, y), "relay", pins.relay)
    panel.part(resistor("R1 220 Ω"), (3.5, y), (6.0, y))
    panel.dot((6.0, y))
    panel.part(resistor(), (6.0, y), (6.0, 1.4))
    panel.text((4.1, 2.15), "R2 10 kΩ", NORMAL)
    panel.ground((6.0, 1.4))
    fet = panel.place(elm.NMos(), "gate", (7.2, y))
    panel.wire((6.0, y), panel.find(fet, "gate"))
    drain, source = panel.find(fet, "drain"), panel.find(fet, "source")
    panel.text((drain[0] + 0.3, y - 0.1), "Q1", NORMAL)
    panel.text((drain[0] + 0.3, y - 0.55), "AO3400A", NORMAL)
    panel.wire(source, (source[0], 1.4))
    panel.ground((source[0], 1.4))
    x, low, high = drain[0], 4.5, 6.4
    panel.wire(drain, (x, low))
    panel.dot((x, low), (x, high))
    panel.part(resistor(), (x, low), (x, high))
    panel.wire((x, high), (x, 6.7))
    panel.supply((x, 6.7), "+12 V")
    panel.text((x + 0.4, 5.55), "K1 coil", NORMAL)
    panel.text((x + 0.4, 5.1), "12 V, at most 50 mA", NORMAL)
    panel.wire((x, low), (x - 1.5, low))
    panel.part(elm.Diode(), (x - 1.5, low), (x - 1.5, high))
    panel.wire((x - 1.5, high), (x, high))
    panel.text((x - 1.9, 5.55), "D1", NORMAL, "right")
    panel.text((x - 1.9, 5.1), "1N4007", NORMAL, "right")
    left, right, top = 11.9, 14.0, 4.2
    panel.part(elm.Switch(), (left, top), (right, top))
    panel.text((12.95, top + 0.65), "K1, open at rest", NORMAL, "center")
    panel.part(elm.Switch(), (left, 2.4), (right, 2.4))
    panel.text((12.95, 1.75), "S1 key switch, at the guard", NORMAL, "center")
    panel.wire((left, top), (left, 2.4))
    panel.wire((right, top), (right, 2.4))
    panel.dot((left, 3.3), (right, 3.3))
    panel.wire((left, 3.3), (left - 0.6, 3.3))
    panel.terminal((left - 0.6, 3.3))
    panel.wire((right, 3.3), (right + 0.5, 3.3))
    panel.terminal((right + 0.5, 3.3))
    panel.text((right + 0.8, 3.45), "turnstile's input", NORMAL)
    panel.text((right + 0.8, 3.0), "OPEN ENTRY", NORMAL)
    panel.text((left - 0.6, 3.5), "X1.1", SMALL, "center")
    panel.text((right + 0.5, 2.7), "X1.2", SMALL, "center")
    panel.text(
        (0.5, 0.35),
        "High opens. R2 sits at the gate itself, on the driver's board: a cut wire, a closed pin or a dead Pi leaves Q1 off.",
        SMALL,
    )


def isolated(panel: Panel, pins: Pins) -> None:
    """One of three inputs behind an optocoupler."""
    opto = panel.place(elm.Optocoupler(lw=1.5), "anode", (9.2, 5.4))
    anode, cathode = panel.find(opto, "anode"), panel.find(opto, "cathode")
    collector, emitter = panel.find(opto, "collector"), panel.find(opto, "emitter")
    y = anode[1]
    panel.terminal((0.8, y))
    panel.text((0.4, y + 0.3), "+24 V M", NORMAL)
    panel.wire((0.8, y), (1.5, y))
    panel.part(elm.Switch(nc=True), (1.5, y), (3.7, y))
    panel.text((2.6, y + 0.55), "contact", NORMAL, "center")
    panel.text((2.6, y - 0.75), "closed at rest", SMALL, "center")
    panel.part(resistor("R3 4.7 kΩ"), (3.7, y), (6.6, y))
    panel.dot((7.4, y), (7.4, cathode[1]))
    panel.wire((6.6, y), anode)
    panel.part(elm.Diode(), (7.4, cathode[1]), (7.4, y))
    panel.text((6.9, (y + cathode[1]) / 2 - 0.0), "D3", NORMAL, "right")
    panel.text((6.9, (y + cathode[1]) / 2 - 0.45), "1N4148", NORMAL, "right")
    panel.wire(cathode, (7.4, cathode[1]), (5.0, cathode[1]), (5.0, cathode[1] - 0.4))
    panel.zero((5.0, cathode[1] - 0.4))
    panel.text(((anode[0] + collector[0]) / 2, y + 0.75), "U1 PC817", NORMAL, "center")
    cx = collector[0] + 0.9
    panel.wire(collector, (cx, collector[1]))
    panel.dot((cx, collector[1]))
    panel.part(resistor(), (cx, collector[1]), (cx, collector[1] + 1.6))
    panel.text((cx + 0.4, collector[1] + 0.65), "R4 10 kΩ", NORMAL)
    panel.supply((cx, collector[1] + 1.6), "3V3")
    panel.wire((cx, collector[1]), (13.9, collector[1]))
    panel.box((13.9, collector[1] - 1.35), (3.2, 2.0), *named(pins, "beam", "arm", "fire"))
    panel.wire(emitter, (cx, emitter[1]), (cx, emitter[1] - 0.3))
    panel.ground((cx, emitter[1] - 0.3))
    panel.text((0.5, 2.0), "beam: receiver's output, conducting while the beam is whole (PNP, light-on, or its relay)", SMALL)
    panel.text((0.5, 1.6), "arm: contact that the passing person moves. fire: FA2, second contact of panel 2's fire relay", SMALL)
    panel.text(
        (0.5, 1.05), "Closed: LED lit, pin low. Open, cut, or Supply T dead: LED dark, R4 pulls the pin high: broken, moved, alarm.", SMALL
    )
    panel.text((0.5, 0.5), "Supply T of 12 V: R3 = 2.2 kΩ. D3 saves the LED from a reversed cable.", SMALL)


def contacts(panel: Panel, pins: Pins) -> None:
    """One of three contacts that pull their pin to GND."""
    y = 5.0
    panel.box((0.5, y - 1.35), (3.6, 2.0), *named(pins, "staff", "exit", "tamper"))
    panel.wire((4.1, y), (6.4, y))
    panel.dot((5.2, y), (6.4, y))
    panel.part(elm.Capacitor(), (5.2, y), (5.2, y - 1.9))
    panel.text((5.6, y - 1.45), "C1 100 nF", NORMAL)
    panel.ground((5.2, y - 1.9))
    panel.part(resistor(), (6.4, y), (6.4, y + 1.7))
    panel.text((6.8, y + 0.75), "R6 10 kΩ", NORMAL)
    panel.supply((6.4, y + 1.7), "3V3")
    panel.part(resistor(), (6.4, y), (9.4, y))
    panel.text((7.9, y - 0.85), "R5 1 kΩ", NORMAL, "center")
    panel.wire((9.4, y), (10.0, y))
    panel.dot((10.0, y))
    panel.part(elm.DiodeTVS(), (10.0, y), (10.0, y - 1.9))
    panel.text((10.6, y - 0.95), "D4 ESD diode, 5 V,", NORMAL)
    panel.text((10.6, y - 1.4), "leaks at most 1 µA", NORMAL)
    panel.ground((10.0, y - 1.9))
    panel.wire((10.0, y), (12.4, y))
    panel.terminal((11.6, y))
    panel.part(elm.Button(), (12.4, y), (14.4, y))
    panel.wire((14.4, y), (15.6, y), (15.6, y - 0.5))
    panel.terminal((15.0, y))
    panel.ground((15.6, y - 0.5))
    panel.text((13.4, y + 0.85), "contact", NORMAL, "center")
    panel.text(
        (0.5, 2.0), "staff: button at the guard, open at rest. exit: S2b, second contact of the way out's button, open at rest.", SMALL
    )
    panel.text((0.5, 1.6), "tamper: lid switch, closed while the lid is on (low); lid off or wire cut: high.", SMALL)
    panel.text((0.5, 0.95), "Cables of at most 3 m, in the housing or a conduit. A longer one goes through a circuit of panel 4:", SMALL)
    panel.text(
        (0.5, 0.55), "pressed lights its LED and pulls the pin low all the same. A staff cable shorted to ground presses the button.", SMALL
    )


def buzzer(panel: Panel, pins: Pins) -> None:
    """A passive buzzer on an NPN transistor."""
    y = 3.4
    panel.pin((4.2, y), "buzzer", pins.buzzer)
    panel.part(resistor("R7 1 kΩ"), (4.2, y), (7.0, y))
    panel.dot((7.0, y))
    panel.part(resistor(), (7.0, y), (7.0, 1.5))
    panel.text((5.0, 2.3), "R8 10 kΩ", NORMAL)
    panel.ground((7.0, 1.5))
    npn = panel.place(elm.BjtNpn(circle=True), "base", (8.0, y))
    panel.wire((7.0, y), panel.find(npn, "base"))
    collector, emitter = panel.find(npn, "collector"), panel.find(npn, "emitter")
    panel.text((collector[0] + 0.45, y - 0.1), "Q2", NORMAL)
    panel.text((collector[0] + 0.45, y - 0.55), "BC337-25", NORMAL)
    panel.wire(emitter, (emitter[0], 1.5))
    panel.ground((emitter[0], 1.5))
    x, low, high = collector[0], 4.5, 6.4
    panel.wire(collector, (x, low))
    panel.dot((x, low), (x, high))
    panel.wire((x, low), (x, 4.9))
    panel.box((x - 0.55, 4.9), (1.1, 1.1), "B1")
    panel.wire((x, 6.0), (x, 6.7))
    panel.supply((x, 6.7), "+5 V")
    panel.text((x + 0.9, 5.55), "B1 passive magnetic buzzer,", NORMAL)
    panel.text((x + 0.9, 5.1), "5 V, at most 80 mA", NORMAL)
    panel.wire((x, low), (x - 1.6, low))
    panel.part(elm.Diode(), (x - 1.6, low), (x - 1.6, high))
    panel.wire((x - 1.6, high), (x, high))
    panel.text((x - 2.0, 5.55), "D5", NORMAL, "right")
    panel.text((x - 2.0, 5.1), "1N4148", NORMAL, "right")
    panel.text((0.5, 0.35), "PWM, 440 to 1760 Hz. R8 keeps it silent while the pin floats.", SMALL)


def light(panel: Panel, pins: Pins) -> None:
    """One colour of the light."""
    y = 3.2
    panel.box((0.5, y - 1.0), (4.1, 2.0), *named(pins, "led_red", "led_green", "led_blue"))
    panel.part(resistor("R9 220 Ω"), (4.6, y), (7.1, y))
    panel.dot((7.1, y))
    panel.part(resistor(), (7.1, y), (7.1, 1.4))
    panel.text((5.2, 2.1), "R10 10 kΩ", NORMAL)
    panel.ground((7.1, 1.4))
    fet = panel.place(elm.NMos(), "gate", (8.3, y))
    panel.wire((7.1, y), panel.find(fet, "gate"))
    drain, source = panel.find(fet, "drain"), panel.find(fet, "source")
    panel.text((drain[0] + 0.3, y - 0.1), "Q3", NORMAL)
    panel.text((drain[0] + 0.3, y - 0.55), "AO3400A", NORMAL)
    panel.wire(source, (source[0], 1.4))
    panel.ground((source[0], 1.4))
    x = drain[0]
    panel.wire(drain, (x, 5.4))
    panel.part(resistor(), (x, 5.4), (x + 2.2, 5.4))
    panel.text((x + 1.1, 5.75), "R11", NORMAL, "center")
    start = x + 2.2
    for number in range(3):
        panel.part(elm.LED(), (start + 1.5 * (number + 1), 5.4), (start + 1.5 * number, 5.4))
    end = start + 4.5
    panel.wire((end, 5.4), (end, 6.2))
    panel.supply((end, 6.2), "+12 V")
    panel.text((start + 2.4, 4.05), "three LEDs of a colour in series", NORMAL, "center")
    panel.text((12.2, 3.3), "R11 for 18 mA:", NORMAL)
    panel.text((12.2, 2.85), "red 330 Ω", NORMAL)
    panel.text((12.2, 2.4), "green, blue 150 Ω", NORMAL)
    panel.text((12.2, 1.8), "a 12 V lamp with its own", SMALL)
    panel.text((12.2, 1.4), "resistor: R11 = 0, at most 250 mA", SMALL)
    panel.text((0.5, 0.35), "On a bench without 12 V: one LED from the pin to GND, red through 390 Ω, green and blue through 220 Ω.", SMALL)


def bus(panel: Panel) -> None:
    """The thermometer and the clock on one I2C bus."""
    left, end = 3.7, 16.9
    top, sda, scl, low = 7.0, 5.4, 4.6, 1.5
    for y, words in ((top, "3V3, pin 1"), (sda, "SDA, GPIO2, pin 3"), (scl, "SCL, GPIO3, pin 5"), (low, "GND, pin 9")):
        panel.terminal((left, y), words, "left")
        panel.wire((left, y), (end, y))
    for x, y in ((4.6, sda), (5.4, scl)):
        panel.dot((x, top), (x, y))
        panel.wire((x, y), (x, 5.5))
        panel.part(resistor(), (x, 5.5), (x, top))
    panel.text((5.85, 6.3), "R12, R13 1.8 kΩ,", SMALL)
    panel.text((5.85, 5.9), "on the Pi itself", SMALL)
    chip(panel, (8.9, 2.4), "U2 MLX90614", "0x5A", (top, sda, scl), ("VDD", "SDA", "SCL"))
    panel.wire((10.3, 2.4), (10.3, low))
    panel.text((10.4, 1.95), "VSS", SMALL)
    panel.dot((10.3, low), (12.4, top), (12.4, low))
    panel.part(elm.Capacitor(), (12.4, top), (12.4, low))
    panel.text((12.75, 3.3), "C2", SMALL)
    chip(panel, (13.5, 2.4), "U3 DS3231", "0x68", (top, sda, scl), ("VCC", "SDA", "SCL"))
    panel.wire((14.1, 2.4), (14.1, low))
    panel.text((14.2, 1.95), "GND", SMALL)
    panel.dot((14.1, low), (15.7, low))
    panel.part(elm.BatteryCell(), (15.7, 2.4), (15.7, low))
    panel.text((0.5, 3.55), "C2 100 nF, at the can.", SMALL)
    panel.text((0.5, 3.15), "BT1 CR2032, at U3's VBAT.", SMALL)
    panel.text((0.5, 2.75), "Cable of at most 50 cm;", SMALL)
    panel.text((0.5, 2.35), "nothing else on this bus.", SMALL)
    panel.text((0.5, 0.75), "Module boards carry 4.7 kΩ pull-ups of their own: with those of the GY-906 alone the bus sinks 2.5 mA.", SMALL)
    panel.text(
        (0.5, 0.35),
        "Take the clock board's pull-ups off (together they would be over 3 mA), and its charging resistor: a CR2032 must not be charged.",
        SMALL,
    )


def chip(panel: Panel, corner: XY, name: str, address: str, rails: tuple[float, ...], pins: tuple[str, ...]) -> None:
    """A part on the bus, its upper pins joined to the `rails` above it."""
    panel.box(corner, (2.8, 1.5), name, address, "")
    for number, (y, words) in enumerate(zip(rails, pins, strict=True)):
        x = corner[0] + 0.5 + 0.9 * number
        panel.wire((x, corner[1] + 1.5), (x, y))
        panel.dot((x, y))
        panel.text((x + 0.08, corner[1] + 1.6), words, SMALL)


def named(pins: Pins, *names: str) -> list[str]:
    """Signals with their pins, a line each."""
    return [f"{name}: GPIO{getattr(pins, name)}, pin {HEADER_PIN[getattr(pins, name)]}" for name in names]
