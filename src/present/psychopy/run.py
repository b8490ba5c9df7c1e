"""Shows a run that layerprint planned, with PsychoPy: each thing at its time after the trigger.

    python run.py sub-01_task-layers_run-01 [--trigger 5] [--windowed]

waits for the scanner's first stored volume (the key of --trigger; dummies that the scanner discards are counted), shows the
trials of the run's conditions file, and writes NAME_TIME_events.tsv beside it, which `layerprint import-events` takes.
Escape ends the run; what was shown until then is written.
"""

import argparse
import csv
import hashlib
import json
import math
import pathlib
import time

from psychopy import core, event, visual

HERE = pathlib.Path(__file__).resolve().parent
COLUMNS = ["onset", "duration", "trial_type", "stim_file", "image_sha256", "planned_onset", "response_button"]


def table(name):
    """The rows of a file beside this one. Read as text: PsychoPy's importConditions takes the word null for nothing."""
    with open(HERE / name, newline="", encoding="utf-8") as file:
        return [dict(row, onset=float(row["onset"]), duration=float(row["duration"])) for row in csv.DictReader(file)]


def pixels(degrees, screen, window_px):
    """Visual angle in pixels."""
    return 2 * screen["distance_mm"] * math.tan(math.radians(degrees) / 2) / screen["width_mm"] * window_px


def at(rows, when, half_frame):
    """The row that is on the screen at a time, if any."""
    for row in rows:
        if row["onset"] - half_frame <= when < row["onset"] + row["duration"] - half_frame:
            return row
    return None


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("run")
    arguments.add_argument("--trigger", default="5")
    arguments.add_argument("--windowed", action="store_true")
    arguments = arguments.parse_args()
    plan = json.loads((HERE / "export.json").read_text(encoding="utf-8"))
    run = plan["runs"][arguments.run]
    screen = plan["screen"]
    trials = table(run["conditions"])
    targets = table(run["targets"]) if run["targets"] else []

    win = visual.Window(
        size=(800, 600), fullscr=not arguments.windowed, units="pix", colorSpace="rgb255", color=screen["background_rgb"]
    )
    win.mouseVisible = False
    size = screen["image_px"]
    if screen["image_width_deg"]:
        width = round(pixels(screen["image_width_deg"], screen, win.size[0]))
        size = [width, round(width * size[1] / size[0])]
    images = {}
    for trial in trials:
        name = trial["stim_file"]
        if name and name not in images:
            if hashlib.sha256((HERE / name).read_bytes()).hexdigest() != trial["image_sha256"]:
                raise SystemExit(f"{name} is not the image that was exported")
            images[name] = visual.ImageStim(win, image=str(HERE / name), size=size)
    dot = None
    if screen["fixation"]:
        radius = pixels(screen["fixation"]["diameter_deg"], screen, win.size[0]) / 2
        dot = visual.Circle(win, radius=radius, colorSpace="rgb255", lineColor=None)
    square = visual.Rect(win, colorSpace="rgb255", fillColor=[128, 128, 128], lineColor=None)
    half_frame = 0.5 / plan["refresh_hz"]

    def draw(trial, target):
        if trial and trial["stim_file"]:
            images[trial["stim_file"]].draw()
        if target and target["trial_type"] == "grey_square":
            edge = float(target["width"]) * size[0]
            square.size = (edge, edge)
            left, top = (float(target[key]) * (length - edge) for key, length in zip("xy", size))
            square.pos = (left + edge / 2 - size[0] / 2, size[1] / 2 - top - edge / 2)
            square.draw()
        if dot:
            changed = target and target["trial_type"] == "fixation_change"
            dot.fillColor = screen["fixation_change_rgb"] if changed else screen["fixation"]["rgb"]
            dot.draw()

    # What is drawn for the first time takes longer: all of it now, behind the background.
    for stimulus in [*images.values(), square]:
        stimulus.draw()
    win.clearBuffer()
    draw(None, None)
    win.flip()
    clock = core.Clock()
    for _ in range(run["pulses_before_onset_0"] + 1):
        zero = event.waitKeys(keyList=[arguments.trigger], timeStamped=clock)[-1][1]

    shown, open_rows = [], {}
    try:
        while True:
            when = win.getFutureFlipTime(clock=clock) - zero
            if when >= run["duration_s"]:
                break
            now = {"trial": at(trials, when, half_frame), "target": at(targets, when, half_frame)}
            draw(now["trial"], now["target"])
            win.flip()
            flip = clock.getTime() - zero
            for kind, row in now.items():
                before = open_rows.get(kind)
                if before and before[0] is not row:
                    before[1]["duration"] = flip - before[1]["onset"]
                if row and (not before or before[0] is not row):
                    event_row = {name: row.get(name) for name in COLUMNS[2:5]}
                    shown.append(dict(event_row, onset=flip, duration=0.0, planned_onset=row["onset"]))
                    open_rows[kind] = (row, shown[-1])
                elif not row:
                    open_rows.pop(kind, None)
            for key, pressed in event.getKeys(timeStamped=clock):
                if key == "escape":
                    return
                if key != arguments.trigger and pressed >= zero:
                    press = {"onset": pressed - zero, "duration": 0.0, "trial_type": "button_press"}
                    shown.append(dict(press, response_button=key))
    finally:
        end = clock.getTime() - zero
        for _, row in open_rows.values():
            row["duration"] = end - row["onset"]
        win.close()
        name = f"{arguments.run}_{time.strftime('%Y%m%dT%H%M%S')}_events.tsv"
        # "x": what exists is not written over.
        with open(HERE / name, "x", newline="", encoding="utf-8") as file:
            file.write("\t".join(COLUMNS) + "\n")
            for row in sorted(shown, key=lambda row: row["onset"]):
                cells = [row.get(column) for column in COLUMNS]
                cells = [f"{cell:.6f}" if isinstance(cell, float) else cell or "n/a" for cell in cells]
                file.write("\t".join(cells) + "\n")
        print(name)


main()
