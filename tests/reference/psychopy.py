"""As much of PsychoPy as an exported run.py asks for, on a clock that goes from refresh to refresh of a screen of 60 Hz."""

import types

now = 0.0
frames = 0


class Clock:
    def __init__(self):
        self.zero = now

    def getTime(self):
        return now - self.zero


class Window:
    def __init__(self, **setup):
        assert setup["units"] == "pix" and setup["colorSpace"] == "rgb255"
        self.size = (800, 600)

    def getFutureFlipTime(self, clock):
        return clock.getTime() + 1 / 60

    def flip(self):
        global now, frames
        now += 1 / 60
        frames += 1

    def clearBuffer(self):
        pass

    def close(self):
        pass


class Stimulus:
    def __init__(self, win, **setup):
        self.setup = setup

    def draw(self):
        assert "image" not in self.setup or self.setup["size"][0] > 0


def wait_keys(keyList, timeStamped):
    """A pulse, a second later."""
    global now
    now += 1.0
    return [[keyList[0], timeStamped.getTime()]]


def get_keys(timeStamped):
    """A press of a button at the hundredth frame, among the scanner's pulses."""
    return [["5", timeStamped.getTime()]] + ([["b", timeStamped.getTime()]] if frames == 100 else [])


core = types.SimpleNamespace(Clock=Clock)
event = types.SimpleNamespace(waitKeys=wait_keys, getKeys=get_keys)
visual = types.SimpleNamespace(Window=Window, ImageStim=Stimulus, Circle=Stimulus, Rect=Stimulus)
