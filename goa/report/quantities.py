"""Durations, memory and energy as people read them."""

from goa.report.numbers import MISSING

BYTES_PER_STEP = 1024
JOULES_PER_WATT_HOUR = 3600.0


def say_duration(seconds: float | None) -> str:
    """Write a duration in two units at most: 0.8 s, 42 s, 17 min 5 s, 3 h 20 min."""
    if seconds is None:
        return MISSING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def say_short_time(seconds: float | None) -> str:
    """Write the time of one sentence with three digits that count: 0.412 ms, 31.0 ms, 1.25 s."""
    if seconds is None:
        return MISSING
    value, unit = (seconds, "s") if seconds >= 1 else (1000 * seconds, "ms")
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    return f"{value:,.{digits}f} {unit}"


def say_bytes(count: int | None) -> str:
    """Write an amount of memory: 512 B, 1.5 MiB, 12.3 GiB."""
    if count is None:
        return MISSING
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= BYTES_PER_STEP and len(units) > 1:
        value /= BYTES_PER_STEP
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:,.1f} {units[0]}"


def say_energy(joules: float | None) -> str:
    """Write an amount of energy in watt-hours: 0.42 Wh, 37 Wh, 1.24 kWh."""
    if joules is None:
        return MISSING
    watt_hours = joules / JOULES_PER_WATT_HOUR
    if watt_hours >= 1000:
        return f"{watt_hours / 1000:,.2f} kWh"
    return f"{watt_hours:.0f} Wh" if watt_hours >= 10 else f"{watt_hours:.2f} Wh"
