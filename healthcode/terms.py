"""Every word that appears in log, wire, database and screen, once.

A member's value is the stable string that goes on the wire and into the database; it never changes meaning.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Colour(StrEnum):
    """The colour of a person's code (notice of 16 March 2020)."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


class Status(IntEnum):
    """An entry of a two-bit status list, in the values of the IETF Token Status List.

    A verifier that knows only the standard sees VALID, INVALID, SUSPENDED and APPLICATION_SPECIFIC, and so fails safe.
    """

    GREEN = 0
    REVOKED = 1
    RED = 2
    YELLOW = 3


STATUS_OF_COLOUR = {Colour.GREEN: Status.GREEN, Colour.YELLOW: Status.YELLOW, Colour.RED: Status.RED}
COLOUR_OF_STATUS = {status: colour for colour, status in STATUS_OF_COLOUR.items()}


class Form(StrEnum):
    """How a code is carried: live slots of about two minutes on a phone, or weeks on paper."""

    LIVE = "live"
    PAPER = "paper"


class Use(StrEnum):
    """What a key of the trust list may sign."""

    TOKEN = "token"  # noqa: S105  a word, not a secret
    LIST = "list"
    TIME = "time"
    CONFIG = "config"
    COMMAND = "command"
    ACK = "ack"
    DCC = "dcc"
    RELEASE = "release"


class OperatorRole(StrEnum):
    """What an operator is there for; `healthcode.commands.MAY` says what each may command."""

    ATTENDANT = "attendant"
    TECHNICIAN = "technician"
    MANAGER = "manager"


class CommandName(StrEnum):
    """What a unit can be asked for from afar. `identify` and `selftest` show something and change nothing: they need no signature."""

    IDENTIFY = "identify"
    SELFTEST = "selftest"
    OPEN = "open"
    MODE = "mode"
    SYNC = "sync"
    CALIBRATE = "calibrate"
    RESTART = "restart"
    REBOOT = "reboot"
    LOGS = "logs"
    UPDATE = "update"


class CommandFault(StrEnum):
    """Why a unit does not carry out what it was asked for, in the order in which it looks.

    SIZE to SCOPE are those of every signed object (`healthcode.signed.SignedFault`); BUSY and NOT_DONE say that it was good, and could not
    be done now.
    """

    CLOCK_UNTRUSTED = "CLOCK_UNTRUSTED"
    SIZE = "SIZE"
    CBOR = "CBOR"
    COSE = "COSE"
    TYPE = "TYPE"
    ALGORITHM = "ALGORITHM"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    SIGNATURE = "SIGNATURE"
    CONTENT = "CONTENT"
    SCOPE = "SCOPE"
    UNIT = "UNIT"
    COMMAND = "COMMAND"
    TOO_LONG_LIVED = "TOO_LONG_LIVED"
    NOT_YET_VALID = "NOT_YET_VALID"
    EXPIRED = "EXPIRED"
    ROLE = "ROLE"
    REPEATED = "REPEATED"
    TOO_MANY = "TOO_MANY"
    DISK = "DISK"
    BUSY = "BUSY"
    NOT_DONE = "NOT_DONE"


class CertificateKind(StrEnum):
    """What an EU Digital COVID Certificate attests."""

    VACCINATION = "vaccination"
    TEST = "test"
    RECOVERY = "recovery"


class Decision(StrEnum):
    """What the gate does with a person."""

    ADMIT = "admit"
    REFUSE = "refuse"
    CALL_GUARD = "call_guard"


class LaneMode(StrEnum):
    """How a lane is run."""

    CONTROLLED = "controlled"
    FREE = "free"
    LOCKED = "locked"
    OUT_OF_SERVICE = "out_of_service"


class SettingsState(StrEnum):
    """What has become of the configuration that a unit was given: it waits (for its lane, for a release), is on trial, in force, or not."""

    WAITING = "waiting"
    TRIAL = "trial"
    APPLIED = "applied"
    REJECTED = "rejected"
    FELL_BACK = "fell_back"


class ClockState(StrEnum):
    """How far the unit believes its own time."""

    TRUSTED = "trusted"
    HOLDOVER = "holdover"
    UNTRUSTED = "untrusted"


class Fault(StrEnum):
    """Why a text is not a valid code: one member for each stage of reading, in the order in which they are checked.

    COMPRESSION is a stage of foreign certificates alone: our own codes are not compressed.
    """

    TOO_LONG = "TOO_LONG"
    PREFIX = "PREFIX"
    BASE45 = "BASE45"
    COMPRESSION = "COMPRESSION"
    CBOR = "CBOR"
    COSE = "COSE"
    ALGORITHM = "ALGORITHM"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    SIGNATURE = "SIGNATURE"
    CLAIMS = "CLAIMS"
    NOT_YET_VALID = "NOT_YET_VALID"
    EXPIRED = "EXPIRED"
    ISSUER_SCOPE = "ISSUER_SCOPE"


class Screening(StrEnum):
    """What the temperature readings of one person say. Screening, never diagnosis."""

    PENDING = "PENDING"
    WARMING = "WARMING"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    SENSOR_FAULT = "SENSOR_FAULT"
    UNSTEADY = "UNSTEADY"
    TOO_FAR = "TOO_FAR"
    NORMAL = "NORMAL"
    RECHECK = "RECHECK"
    FEVER_SUSPECTED = "FEVER_SUSPECTED"
    FEBRILE = "FEBRILE"
    NOT_CLEARED = "NOT_CLEARED"
    IMPLAUSIBLE = "IMPLAUSIBLE"


class PassageOutcome(StrEnum):
    """How a grant, or the lack of one, ended at the barrier."""

    USED = "used"
    NOT_USED = "not_used"
    FORCED = "forced"
    TAILGATED = "tailgated"
    HELD_OPEN = "held_open"


class Reason(StrEnum):
    """Why a person was admitted, refused or sent to the guard. One stable string on light table, log, wire, database and page."""

    GREEN = "GREEN"
    YELLOW = "YELLOW"
    RED = "RED"
    REVOKED = "REVOKED"
    TOO_LONG = "TOO_LONG"
    PREFIX = "PREFIX"
    BASE45 = "BASE45"
    COMPRESSION = "COMPRESSION"
    CBOR = "CBOR"
    COSE = "COSE"
    ALGORITHM = "ALGORITHM"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    SIGNATURE = "SIGNATURE"
    CLAIMS = "CLAIMS"
    NOT_YET_VALID = "NOT_YET_VALID"
    EXPIRED = "EXPIRED"
    ISSUER_SCOPE = "ISSUER_SCOPE"
    POLICY_MISSING = "POLICY_MISSING"
    NOT_ACCEPTED = "NOT_ACCEPTED"
    TEST_POSITIVE = "TEST_POSITIVE"
    DOSES_MISSING = "DOSES_MISSING"
    TOO_RECENT = "TOO_RECENT"
    TOO_OLD = "TOO_OLD"
    REPLAY = "REPLAY"
    ONE_AT_A_TIME = "ONE_AT_A_TIME"
    LANE_LOCKED = "LANE_LOCKED"
    OUT_OF_SERVICE = "OUT_OF_SERVICE"
    LANE_BUSY = "LANE_BUSY"
    FIRE = "FIRE"
    FEVER_SUSPECTED = "FEVER_SUSPECTED"
    FEBRILE = "FEBRILE"
    NOT_CLEARED = "NOT_CLEARED"
    MEASURING = "MEASURING"
    WARMING = "WARMING"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    SENSOR_FAULT = "SENSOR_FAULT"
    UNSTEADY = "UNSTEADY"
    TOO_FAR = "TOO_FAR"
    IMPLAUSIBLE = "IMPLAUSIBLE"
    LIST_MISSING = "LIST_MISSING"
    TRUST_MISSING = "TRUST_MISSING"
    STATEMENT_STALE = "STATEMENT_STALE"
    CLOCK_UNTRUSTED = "CLOCK_UNTRUSTED"
    OUTBOX_FAULT = "OUTBOX_FAULT"

    @property
    def sentence(self) -> str:
        """One English sentence for people."""
        return _SENTENCES[self][0]

    @property
    def sentence_zh(self) -> str:
        """The same sentence in Chinese."""
        return _SENTENCES[self][1]


_SENTENCES: dict[Reason, tuple[str, str]] = {
    Reason.GREEN: ("Green code, no fever: please pass.", "绿码，体温正常，请通行。"),
    Reason.YELLOW: ("Yellow code: entry is not allowed.", "黄码，不能通行。"),
    Reason.RED: ("Red code: entry is not allowed.", "红码，不能通行。"),
    Reason.REVOKED: ("This code was revoked and replaced; show the new one.", "此码已作废，请出示新码。"),
    Reason.TOO_LONG: ("The code is longer than a health code can be.", "二维码内容过长，不是健康码。"),
    Reason.PREFIX: ("This is not a health code.", "这不是健康码。"),
    Reason.BASE45: ("The code's text is damaged.", "健康码内容损坏。"),
    Reason.COMPRESSION: ("The certificate cannot be unpacked.", "证书无法解压。"),
    Reason.CBOR: ("The code's content is damaged.", "健康码数据损坏。"),
    Reason.COSE: ("The code is not in the signed format.", "健康码签名格式不符。"),
    Reason.ALGORITHM: ("The code is signed in a way that is not accepted.", "健康码签名算法不被接受。"),
    Reason.UNKNOWN_KEY: ("The code's issuer is not known here.", "发码机构未被认可。"),
    Reason.SIGNATURE: ("The code's signature is false.", "健康码签名无效。"),
    Reason.CLAIMS: ("The code lacks something that it must say.", "健康码信息不完整。"),
    Reason.NOT_YET_VALID: ("The code is not valid yet.", "健康码尚未生效。"),
    Reason.EXPIRED: ("The code has expired; refresh it.", "健康码已过期，请刷新。"),
    Reason.ISSUER_SCOPE: ("The issuer may not sign such a code.", "发码机构无权签发此码。"),
    Reason.POLICY_MISSING: ("This unit holds no rules for foreign certificates.", "本机没有境外证书的认可规则。"),
    Reason.NOT_ACCEPTED: ("Certificates of this kind are not accepted here.", "本地不认可此类证书。"),
    Reason.TEST_POSITIVE: ("The certificate's test is positive: entry is not allowed.", "证书检测结果为阳性，不能通行。"),
    Reason.DOSES_MISSING: ("The vaccination on the certificate is not complete.", "证书显示未完成全程接种。"),
    Reason.TOO_RECENT: ("The certificate does not count yet: too few days have gone by.", "证书尚未达到认可的天数。"),
    Reason.TOO_OLD: ("What the certificate attests is too long ago.", "证书已超过认可的时限。"),
    Reason.REPLAY: ("This code has just been used here.", "此码刚在本通道使用过。"),
    Reason.ONE_AT_A_TIME: ("More than one code in view: one person at a time.", "请逐人出示健康码。"),
    Reason.LANE_LOCKED: ("This lane is locked.", "本通道已锁闭。"),
    Reason.OUT_OF_SERVICE: ("This lane is out of service.", "本通道停用。"),
    Reason.LANE_BUSY: ("Somebody is still passing; please wait.", "前方有人通行，请稍候。"),
    Reason.FIRE: ("Fire alarm: follow the way out.", "火警，请按疏散方向离开。"),
    Reason.FEVER_SUSPECTED: ("The temperature looks high; it is measured again.", "体温偏高，请稍候复测。"),
    Reason.FEBRILE: ("Fever measured twice; the guard will help.", "两次测得发热，请联系工作人员。"),
    Reason.NOT_CLEARED: ("The two measurements disagree; the guard measures.", "两次测温不一致，请人工测温。"),
    Reason.MEASURING: ("The temperature is being taken.", "正在测温。"),
    Reason.WARMING: ("The thermometer is warming up; the guard measures.", "测温仪预热中，请人工测温。"),
    Reason.OUT_OF_RANGE: ("The air is too cold or too warm for the thermometer; the guard measures.", "环境温度超出测温范围，请人工测温。"),
    Reason.SENSOR_FAULT: ("The thermometer does not work; the guard measures.", "测温仪故障，请人工测温。"),
    Reason.UNSTEADY: ("The readings are not steady: hold still.", "读数不稳，请保持不动。"),
    Reason.TOO_FAR: ("Come closer to the thermometer.", "请靠近测温仪。"),
    Reason.IMPLAUSIBLE: ("The reading cannot be right; it is taken again.", "读数异常，请重新测温。"),
    Reason.LIST_MISSING: ("The list that this code refers to is not held here.", "本机没有此码对应的名单。"),
    Reason.TRUST_MISSING: ("This unit holds no valid list of issuers.", "本机没有有效的发码机构名单。"),
    Reason.STATEMENT_STALE: ("What is known of this code is too old.", "此码的信息已过时。"),
    Reason.CLOCK_UNTRUSTED: ("This unit does not know the time for certain.", "本机时间不可信。"),
    Reason.OUTBOX_FAULT: ("This unit cannot store its events.", "本机无法保存记录。"),
}

REASON_OF_FAULT = {fault: Reason(fault.value) for fault in Fault}
