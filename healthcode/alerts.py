"""Every alert that a unit can raise: its stable name, how bad it is, and what it is called in English and Chinese. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """How bad an alert is. STOPS: nobody, or hardly anybody, is admitted by the unit alone. ALARM: somebody has to look at the gate now.

    WARNS: something will go wrong if nobody looks.
    """

    STOPS = "stops"
    ALARM = "alarm"
    WARNS = "warns"


@dataclass(frozen=True)
class AlertWords:
    """How bad it is, and its title."""

    weight: Weight
    title: str
    title_zh: str


ALERTS: dict[str, AlertWords] = {
    "camera": AlertWords(Weight.STOPS, "Camera fault", "摄像头故障"),
    "camera_missing": AlertWords(Weight.STOPS, "Camera missing", "未找到摄像头"),
    "camera_busy": AlertWords(Weight.STOPS, "Camera in use", "摄像头被占用"),
    "camera_black": AlertWords(Weight.STOPS, "Camera sees nothing", "摄像头画面全黑"),
    "camera_frozen": AlertWords(Weight.STOPS, "Camera frozen", "摄像头画面冻结"),
    "obstructed": AlertWords(Weight.WARNS, "Foreign code in view", "视野内有其他二维码"),
    "sensor": AlertWords(Weight.STOPS, "Thermometer fault", "测温仪故障"),
    "calibration": AlertWords(Weight.WARNS, "Thermometer calibration", "测温仪校准"),
    "clock": AlertWords(Weight.STOPS, "Time not certain", "时间不可信"),
    "trust": AlertWords(Weight.WARNS, "Trust list", "信任名单"),
    "lists_missing": AlertWords(Weight.STOPS, "Status list missing", "缺少状态名单"),
    "lists_left_out": AlertWords(Weight.WARNS, "Status lists left out", "部分状态名单未收录"),
    "lists_stale": AlertWords(Weight.WARNS, "Status list old", "状态名单过旧"),
    "outbox": AlertWords(Weight.STOPS, "Events pile up", "记录积压"),
    "disk": AlertWords(Weight.WARNS, "Disk nearly full", "磁盘空间不足"),
    "board_hot": AlertWords(Weight.WARNS, "Board hot", "主板过热"),
    "under_voltage": AlertWords(Weight.WARNS, "Supply too low", "供电电压不足"),
    "certificate": AlertWords(Weight.WARNS, "Certificate ends", "证书即将到期"),
    "tamper": AlertWords(Weight.ALARM, "Housing open", "机箱被打开"),
    "forced": AlertWords(Weight.ALARM, "Forced passage", "强行闯入"),
    "tailgate": AlertWords(Weight.ALARM, "Tailgating", "尾随通行"),
    "held_open": AlertWords(Weight.ALARM, "Passage held open", "通道被占用"),
    "fevers": AlertWords(Weight.ALARM, "More fevers than usual", "发热人数异常"),
    "refusals": AlertWords(Weight.ALARM, "More refusals than usual", "拒绝次数异常"),
    "lane_mode": AlertWords(Weight.WARNS, "Lane mode not kept", "通道模式未保存"),
    "configuration": AlertWords(Weight.WARNS, "Configuration refused", "远程配置未生效"),
}
"""All that are not raised are cleared at each connection of their unit, so that none outlives its cause."""
